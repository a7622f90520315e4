# Who may do what. A bucket's policy refuses on top of it; no role here may change one.

locals {
  role_arns = { for role in keys(local.roles) :
    role => "arn:${data.aws_partition.current.partition}:iam::${var.account_id}:role/${var.name}-${role}"
  }

  kept_buckets = [for key in keys(local.kept) : local.buckets[key].arn]
  subjects     = local.buckets["subjects"].arn

  # An object that is not there answers so only to who may list.
  sees = ["s3:ListBucket", "s3:ListBucketVersions"]

  # What a process asks of its bucket before it trusts it. It changes nothing.
  posture = [
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketPolicy",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketVersioning",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
  ]

  # The oldest version counts, and is read by its id.
  reads = ["s3:GetObject", "s3:GetObjectLegalHold", "s3:GetObjectRetention", "s3:GetObjectVersion"]

  # To put an object with a retention of its own takes both. No role may bypass, shorten or hold with them.
  adds = ["s3:PutObject", "s3:PutObjectRetention"]

  reads_archive = [
    { Sid = "SeeArchive", Effect = "Allow", Action = concat(local.sees, local.posture), Resource = local.kept_buckets },
    { Sid = "ReadArchive", Effect = "Allow", Action = local.reads, Resource = [for arn in local.kept_buckets : "${arn}/*"] },
  ]
  adds_to_archive = [
    { Sid = "AddToArchive", Effect = "Allow", Action = local.adds, Resource = [for arn in local.kept_buckets : "${arn}/*"] },
  ]
  reads_subjects = [
    { Sid = "SeeSubjects", Effect = "Allow", Action = concat(local.sees, local.posture), Resource = local.subjects },
    { Sid = "ReadSubjects", Effect = "Allow", Action = "s3:GetObject", Resource = "${local.subjects}/*" },
  ]

  roles = {
    # Workers and notaries. In the subjects' bucket, where nothing is kept, to replace is to destroy: what
    # they put there has to be new.
    worker = concat(local.reads_archive, local.adds_to_archive, local.reads_subjects, [
      {
        Sid       = "AddSubjects"
        Effect    = "Allow"
        Action    = "s3:PutObject"
        Resource  = "${local.subjects}/*"
        Condition = { Null = { "s3:if-none-match" = "false" } }
      },
    ])

    # It answers strangers: of the archive it adds its access journals, and nothing of the archive's word.
    # Of the subjects' bucket it rewrites its word of the key epoch that it has loaded, requests, holds and
    # openings, and no subject object.
    gateway = concat(local.reads_archive, local.reads_subjects, [
      {
        Sid      = "AddJournals"
        Effect   = "Allow"
        Action   = local.adds
        Resource = [for arn in local.kept_buckets : "${arn}/access/*"]
      },
      {
        Sid    = "File"
        Effect = "Allow"
        Action = ["s3:PutObject", "s3:DeleteObject"]
        Resource = [for folder in ["fleet", "requests", "holds", "hold-keys", "openings"] :
          "${local.subjects}/private/${folder}/*"
        ]
      },
    ])

    # Who erases: it rewrites subject objects, and adds certificates to the archive.
    keeper = concat(local.reads_archive, local.adds_to_archive, local.reads_subjects, [
      { Sid = "Erase", Effect = "Allow", Action = ["s3:PutObject", "s3:DeleteObject"], Resource = "${local.subjects}/*" },
    ])

    # Who enforces legal holds, and keeps longer. It declares them in the archive.
    holder = concat(local.reads_archive, local.adds_to_archive, local.reads_subjects, [
      {
        Sid      = "Hold"
        Effect   = "Allow"
        Action   = "s3:PutObjectLegalHold"
        Resource = [for arn in local.kept_buckets : "${arn}/*"]
      },
      {
        Sid      = "KeepHolds"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:DeleteObject"]
        Resource = [for folder in ["holds", "hold-keys", "held"] : "${local.subjects}/private/${folder}/*"]
      },
    ])

    # The job of `audit-stream retention run`: it removes segments that have expired, and their subject
    # objects. What retention or a hold keeps, the service keeps from it, too.
    disposer = concat(local.reads_archive, local.adds_to_archive, local.reads_subjects, [
      {
        Sid      = "Dispose"
        Effect   = "Allow"
        Action   = "s3:DeleteObjectVersion"
        Resource = [for arn in local.kept_buckets : "${arn}/segments/*"]
      },
      { Sid = "DisposeSubjects", Effect = "Allow", Action = ["s3:PutObject", "s3:DeleteObject"], Resource = "${local.subjects}/*" },
    ])

    # It sends what is archived, and keeps how far it got. Where it sends personal fields it holds keys, and
    # says so under private/fleet/ and private/receivers/, in new words; it has to know whose a record is, too.
    deliverer = concat(
      local.reads_archive,
      [for key in keys(local.rewritten) : {
        Sid      = "SeePositions"
        Effect   = "Allow"
        Action   = local.sees
        Resource = local.buckets[key].arn
      } if key == "positions"],
      [for key in keys(local.rewritten) : {
        Sid      = "KeepPositions"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = "${local.buckets[key].arn}/*"
      } if key == "positions"],
      [for each in concat(local.reads_subjects, [
        {
          Sid       = "SayEpochAndReceiver"
          Effect    = "Allow"
          Action    = "s3:PutObject"
          Resource  = ["${local.subjects}/private/fleet/*", "${local.subjects}/private/receivers/*"]
          Condition = { Null = { "s3:if-none-match" = "false" } }
        },
      ]) : each if var.deliverer_sends_personal_fields],
    )

    # People who check.
    auditor = local.reads_archive
  }

  # Of an account's own keys, where the buckets are under such.
  uses_keys = [for arn in [for key in aws_kms_key.this : key.arn] : {
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource = arn
  }]

  # What vouches for the session of a service account is the cluster; for others IAM does.
  trusted = { for role in keys(local.roles) : role => concat(
    [for provider in var.oidc_provider_arn[*] : {
      Effect    = "Allow"
      Principal = { Federated = provider }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = { StringEquals = {
        "${split("oidc-provider/", provider)[1]}:aud" = "sts.amazonaws.com"
        "${split("oidc-provider/", provider)[1]}:sub" = "system:serviceaccount:${var.namespace}:${var.service_accounts[role]}"
      } }
    } if contains(keys(var.service_accounts), role)],
    [for arns in [lookup(var.trusted_arns, role, [])] : {
      Effect    = "Allow"
      Principal = { AWS = arns }
      Action    = "sts:AssumeRole"
    } if length(arns) > 0],
  ) }
}

# A role that nobody may take on is not made.
resource "aws_iam_role" "this" {
  for_each = { for role, trusted in local.trusted : role => trusted if length(trusted) > 0 }

  name        = "${var.name}-${each.key}"
  description = "audit-stream ${each.key}: deploy/aws/roles.tf"

  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = each.value })
}

resource "aws_iam_role_policy" "this" {
  for_each = aws_iam_role.this

  name   = each.key
  role   = each.value.name
  policy = jsonencode({ Version = "2012-10-17", Statement = concat(local.roles[each.key], local.uses_keys) })
}
