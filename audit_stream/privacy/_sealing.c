/* `seal`: the record lines of all rises of a batch in one call, as `plain.seal` writes them.
 *
 * Three acts. (1) With the interpreter lock: sizes and types are checked; texts are borrowed from
 * the rises, which are held; keys are copied, for another thread may wipe them. (2) Without it:
 * each line is written behind the last one, its hash and its sealed part into the gaps left for
 * them. (3) With it again: lines and hashes become objects. What held keys or personal data is
 * zeroed before it is let go.
 */

#include "_libcrypto.h"
#include "_writing.h"

#define GCM_TAG 16
#define BLOCK 64       /* personal values are padded to a multiple of this */
#define DIGEST_TEXT 43 /* base64url of 32 bytes */
#define SALT 16
#define MAX_TEXT (1 << 20) /* bytes; far beyond what flattening lets through */

/* A rise is a tuple: these texts, then offset, revision, offset of the superseded revision or
 * None, encryption key or None (the subject was erased), MAC key. */
enum { AUDIT_ID, CARRIER_ERROR_CODE, CARRIER_MESSAGE_ID, CARRIER_RECEIPT_TIMESTAMP, CARRIER_STATUS,
       COMMUNICATION_TYPE, DELIVERY_STATUS, INGESTION_TIMESTAMP, MESSAGE_UUID, ORIGIN, AGENT_ID,
       WORKFLOW_ID, TENANT_ID, EXTERNAL_ID, ADDRESS, TEXTS };
enum { OFFSET = TEXTS, REVISION, BEFORE, ENC, MAC, FIELDS };

typedef struct {
    Text texts[TEXTS];
    unsigned long long offset, revision, before;
    int is_rise, erased; /* `is_rise`: whether it supersedes one */
    unsigned char enc[KEY], mac[KEY];
    size_t end; /* of its line */
    unsigned char hash[SHA256];
} Rise;

typedef struct {
    Rise *rises;
    Py_ssize_t count;
    unsigned long partition;
    Text source, tag;
    char *out;
    size_t size, room;
    unsigned char *scratch; /* personal values, and a disclosure made of them */
    size_t scratch_room;
    EVP_MD_CTX *md;
    EVP_CIPHER_CTX *cipher;
} Batch;

/* -- one line */

/* The immutable fields in the order of RFC 8785; `digests` are both of `_sd`, sorted. */
static char *pub(char *at, const Batch *batch, const Rise *rise, const char *digests) {
    const Text *texts = rise->texts;
    if (rise->erased) {
        at = PUT(at, "{");
    } else {
        at = put(PUT(at, "{\"_sd\":[\""), digests, DIGEST_TEXT);
        at = put(PUT(at, "\",\""), digests + DIGEST_TEXT, DIGEST_TEXT);
        at = PUT(at, "\"],");
    }
    at = json(PUT(at, "\"audit_id\":"), texts[AUDIT_ID]);
    at = json(PUT(at, ",\"carrier_error_code\":"), texts[CARRIER_ERROR_CODE]);
    at = json(PUT(at, ",\"carrier_message_id\":"), texts[CARRIER_MESSAGE_ID]);
    at = json(PUT(at, ",\"carrier_receipt_timestamp\":"), texts[CARRIER_RECEIPT_TIMESTAMP]);
    at = json(PUT(at, ",\"carrier_status\":"), texts[CARRIER_STATUS]);
    at = json(PUT(at, ",\"communication_type\":"), texts[COMMUNICATION_TYPE]);
    at = json(PUT(at, ",\"delivery_status\":"), texts[DELIVERY_STATUS]);
    if (rise->erased) at = PUT(at, ",\"erased\":true");
    at = json(PUT(at, ",\"ingestion_timestamp\":"), texts[INGESTION_TIMESTAMP]);
    at = json(PUT(at, ",\"legal_hold\":true,\"message_uuid\":"), texts[MESSAGE_UUID]);
    at = json(PUT(at, ",\"origin\":"), texts[ORIGIN]);
    at = json(PUT(at, ",\"originating_agent_id\":"), texts[AGENT_ID]);
    at = json(PUT(at, ",\"originating_workflow_id\":"), texts[WORKFLOW_ID]);
    at = json(PUT(at, ",\"platform_tenant_id\":"), texts[TENANT_ID]);
    at = json(PUT(at, ",\"regulatory_tag\":"), batch->tag);
    at = decimal(PUT(at, ",\"revision\":"), rise->revision);
    at = position(PUT(at, ",\"source\":"), batch->source, rise->offset);
    at = PUT(at, ",\"supersedes\":");
    at = rise->is_rise ? position(at, batch->source, rise->before) : PUT(at, "null");
    return PUT(at, ",\"v\":\"audit-record/1\"}");
}

/* What `_sd` holds of a disclosure: b64url(sha256(b64url(["salt","field",value]))). */
static int digest(Batch *batch, const unsigned char *salt, const char *field, const char *value,
                  size_t value_len, char *work, char *out) {
    unsigned char hashed[SHA256];
    char *at = hex(PUT(work, "[\""), salt, SALT);
    at = put(put(at, field, strlen(field)), value, value_len);
    *at++ = ']';
    char *end = b64url(at, (unsigned char *)work, (size_t)(at - work));
    if (!hash2(batch->md, sha256_md, at, (size_t)(end - at), "", 0, hashed)) return 0;
    b64url(out, hashed, sizeof hashed);
    return 1;
}

static int salts(Batch *batch, const Rise *rise, unsigned char *out) {
    static const char label[] = "as/salt/v1"; /* with its final zero byte: 11 bytes */
    unsigned char place[sizeof label + 4 + 8], *at = place + sizeof label;
    memcpy(place, label, sizeof label);
    for (int i = 3; i >= 0; i--) *at++ = (unsigned char)(batch->partition >> (8 * i));
    for (int i = 7; i >= 0; i--) *at++ = (unsigned char)(rise->offset >> (8 * i));
    return hmac(batch->md, sha256_md, 64, SHA256, rise->mac, place, sizeof place, out);
}

/* Both digests, sorted; `one` and `two` are the personal values as JSON texts. */
static int digests(Batch *batch, const Rise *rise, const char *one, size_t one_len,
                   const char *two, size_t two_len, char *work, char *out) {
    unsigned char both[2 * SALT];
    char made[2][DIGEST_TEXT];
    int good = salts(batch, rise, both) &&
               digest(batch, both, "\",\"customer_external_id\",", one, one_len, work, made[0]) &&
               digest(batch, both + SALT, "\",\"recipient_address\",", two, two_len, work, made[1]);
    OPENSSL_cleanse(both, sizeof both);
    if (!good) return 0;
    int first = memcmp(made[0], made[1], DIGEST_TEXT) > 0;
    put(put(out, made[first], DIGEST_TEXT), made[!first], DIGEST_TEXT);
    return 1;
}

/* The padded plaintext under AES-256-GCM; nonce and associated data come from the hash. */
static int encrypt(Batch *batch, const Rise *rise, const unsigned char *plain, size_t len,
                   unsigned char *box) {
    int written, last;
    EVP_CIPHER_CTX *ctx = batch->cipher;
    return EVP_EncryptInit_ex2(ctx, aes_gcm, rise->enc, rise->hash, NULL) &&
           EVP_EncryptUpdate(ctx, NULL, &written, rise->hash, SHA256) &&
           EVP_EncryptUpdate(ctx, box, &written, plain, (int)len) &&
           EVP_EncryptFinal_ex(ctx, box + written, &last) &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG, box + len);
}

static int hash_pub(Batch *batch, Rise *rise, char *at, size_t len, char *hash_text) {
    if (!hash2(batch->md, sha256_md, at, len, "", 0, rise->hash)) return 0;
    hex(hash_text, rise->hash, SHA256);
    return 1;
}

static int write_line(Batch *batch, Rise *rise) {
    char both[2 * DIGEST_TEXT], *plain = (char *)batch->scratch, *pii = NULL;
    char *hash_text = PUT(batch->out + batch->size, "{\"integrity_hash\":\"sha256:");
    char *at = PUT(hash_text + 2 * SHA256, "\",\"pii\":");
    size_t padded = 0;
    if (rise->erased) {
        at = PUT(at, "null");
    } else {
        char *one = PUT(plain, "["), *one_end = json(one, rise->texts[EXTERNAL_ID]);
        char *two = PUT(one_end, ","), *two_end = json(two, rise->texts[ADDRESS]);
        char *end = PUT(two_end, "]\x80");
        padded = (size_t)(end - plain + BLOCK - 1) / BLOCK * BLOCK;
        memset(end, 0, padded - (size_t)(end - plain));
        if (!digests(batch, rise, one, (size_t)(one_end - one), two, (size_t)(two_end - two),
                     plain + padded, both))
            return 0;
        pii = PUT(at, "\"");
        at = PUT(pii + b64url_len(padded + GCM_TAG), "\"");
    }
    at = PUT(at, ",\"pub\":");
    char *end = pub(at, batch, rise, both);
    if (!hash_pub(batch, rise, at, (size_t)(end - at), hash_text)) return 0;
    if (pii != NULL) {
        unsigned char *box = batch->scratch + padded;
        if (!encrypt(batch, rise, (unsigned char *)plain, padded, box)) return 0;
        b64url(pii, box, padded + GCM_TAG);
    }
    end = PUT(end, "}\n");
    rise->end = batch->size = (size_t)(end - batch->out);
    return 1;
}

/* -- room */

/* Bytes of JSON that the texts from `from` to `to` can take at most. */
static size_t at_most(const Batch *batch, const Rise *rise, int from, int to) {
    size_t bytes = 0;
    for (int i = from; i < to; i++) bytes += rise->texts[i].len;
    return 6 * (bytes + (from ? 0 : batch->tag.len + 2 * batch->source.len)) + 1024;
}

static int reserve(void **at, size_t *room, size_t wanted, size_t used, int secret) {
    if (wanted <= *room) return 1;
    void *grown = malloc(2 * wanted);
    if (grown == NULL) return 0;
    if (used) memcpy(grown, *at, used);
    if (*at != NULL && secret) OPENSSL_cleanse(*at, *room);
    free(*at);
    *at = grown;
    *room = 2 * wanted;
    return 1;
}

/* 1, 0 when OpenSSL refused, -1 without memory. */
static int write_lines(Batch *batch) {
    for (Py_ssize_t i = 0; i < batch->count; i++) {
        Rise *rise = &batch->rises[i];
        size_t personal = at_most(batch, rise, EXTERNAL_ID, TEXTS);
        size_t line = at_most(batch, rise, 0, EXTERNAL_ID) + 2 * personal;
        if (!reserve((void **)&batch->out, &batch->room, batch->size + line, batch->size, 0) ||
            !reserve((void **)&batch->scratch, &batch->scratch_room, 4 * personal, 0, 1))
            return -1;
        if (!write_line(batch, rise)) return 0;
    }
    return 1;
}

/* -- from and to Python */

static int take_text(PyObject *from, Text *out, const char *what) {
    Py_ssize_t len;
    if (from == Py_None) return 1;
    out->at = PyUnicode_AsUTF8AndSize(from, &len);
    if (out->at == NULL) return 0;
    out->len = (size_t)len;
    if (len <= MAX_TEXT) return 1;
    PyErr_Format(PyExc_ValueError, "%s is longer than %d bytes", what, MAX_TEXT);
    return 0;
}

static int take_key(PyObject *from, unsigned char *out, const char *what) {
    char *at;
    Py_ssize_t len;
    if (PyBytes_AsStringAndSize(from, &at, &len) < 0 || !sized(len, KEY, what)) return 0;
    memcpy(out, at, KEY);
    return 1;
}

static int take_number(PyObject *from, unsigned long long *out) {
    *out = PyLong_AsUnsignedLongLong(from);
    return !PyErr_Occurred();
}

static int take_rise(PyObject *from, Rise *rise) {
    if (!PyTuple_Check(from) || PyTuple_Size(from) != FIELDS) {
        PyErr_Format(PyExc_TypeError, "a rise is a tuple of %d", FIELDS);
        return 0;
    }
    for (int i = 0; i < TEXTS; i++)
        if (!take_text(PyTuple_GetItem(from, i), &rise->texts[i], "a text")) return 0;
    PyObject *before = PyTuple_GetItem(from, BEFORE);
    rise->is_rise = before != Py_None;
    rise->erased = PyTuple_GetItem(from, ENC) == Py_None;
    return take_number(PyTuple_GetItem(from, OFFSET), &rise->offset) &&
           take_number(PyTuple_GetItem(from, REVISION), &rise->revision) &&
           (!rise->is_rise || take_number(before, &rise->before)) &&
           (rise->erased || (take_key(PyTuple_GetItem(from, ENC), rise->enc, "encryption key") &&
                             take_key(PyTuple_GetItem(from, MAC), rise->mac, "mac key")));
}

static int take(Batch *batch, PyObject *rises) {
    batch->count = PyTuple_Size(rises);
    batch->rises = calloc((size_t)batch->count + 1, sizeof *batch->rises);
    batch->md = EVP_MD_CTX_new();
    batch->cipher = EVP_CIPHER_CTX_new();
    if (batch->rises == NULL || batch->md == NULL || batch->cipher == NULL)
        return PyErr_NoMemory() != NULL;
    for (Py_ssize_t i = 0; i < batch->count; i++)
        if (!take_rise(PyTuple_GetItem(rises, i), &batch->rises[i])) return 0;
    return 1;
}

static PyObject *give(const Batch *batch) {
    PyObject *lines = PyList_New(batch->count), *hashes = PyList_New(batch->count);
    size_t start = 0;
    for (Py_ssize_t i = 0; lines != NULL && hashes != NULL && i < batch->count; i++) {
        const Rise *rise = &batch->rises[i];
        PyObject *line =
            PyBytes_FromStringAndSize(batch->out + start, (Py_ssize_t)(rise->end - start));
        PyObject *hash = PyBytes_FromStringAndSize((const char *)rise->hash, SHA256);
        start = rise->end;
        if (line != NULL) PyList_SetItem(lines, i, line);
        if (hash != NULL) PyList_SetItem(hashes, i, hash);
        if (line == NULL || hash == NULL) Py_CLEAR(lines);
    }
    if (lines != NULL && hashes != NULL) return Py_BuildValue("(NN)", lines, hashes);
    Py_XDECREF(lines);
    Py_XDECREF(hashes);
    return NULL;
}

static void let_go(Batch *batch) {
    if (batch->rises != NULL)
        OPENSSL_cleanse(batch->rises, (size_t)batch->count * sizeof *batch->rises);
    if (batch->scratch != NULL) OPENSSL_cleanse(batch->scratch, batch->scratch_room);
    free(batch->rises);
    free(batch->scratch);
    free(batch->out);
    EVP_MD_CTX_free(batch->md);
    EVP_CIPHER_CTX_free(batch->cipher); /* zeroes its key schedule */
}

PyObject *seal(PyObject *self, PyObject *args) {
    Batch batch = {0};
    PyObject *given, *source, *tag, *made = NULL;
    if (!PyArg_ParseTuple(args, "OkUU", &given, &batch.partition, &source, &tag)) return NULL;
    if (!take_text(source, &batch.source, "the source") || !take_text(tag, &batch.tag, "the tag"))
        return NULL;
    PyObject *rises = PySequence_Tuple(given); /* nobody can change it while the lock is away */
    if (rises == NULL) return NULL;
    if (take(&batch, rises)) {
        int done;
        Py_BEGIN_ALLOW_THREADS
        done = write_lines(&batch);
        Py_END_ALLOW_THREADS
        made = done == 1 ? give(&batch) : done ? PyErr_NoMemory() : refused();
    }
    let_go(&batch);
    Py_DECREF(rises);
    return made;
}
