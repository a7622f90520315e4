"""A broker that asks everybody who they are, and gives each role what ``topics/`` declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import HOST, EmbeddedKafka, free_ports
from audit_stream.kafka.topics import Topic

ROLES = ("worker", "notary", "gateway", "deliverer", "operator")
PASSWORD = "correct-horse"  # of a broker that lives as long as a test
Acl = tuple[int, str, int, str, str]  # resource type, name, pattern, role, operation
# As the protocol numbers them: Kafka's ResourceType, PatternType, AclOperation, AclPermissionType.
_TOPIC, _GROUP, _TRANSACTIONAL_ID = 2, 3, 5
_LITERAL, _PREFIXED = 3, 4
_OPERATIONS = {
    "READ": 3, "WRITE": 4, "CREATE": 5, "DELETE": 6, "DESCRIBE": 8, "DESCRIBE_CONFIGS": 10,
    "ALTER_CONFIGS": 11,
}  # fmt: skip
_ALLOW = 3


class AuthorisedKafka(EmbeddedKafka):
    """Whoever comes without a name may do everything, as a cluster's administrator; `url` is
    theirs, `named` that of the roles."""

    def __init__(self, data_dir: Path) -> None:
        plain, named, controller = free_ports(3)
        listeners = f"PLAINTEXT://{HOST}:{plain},SASL_PLAINTEXT://{HOST}:{named}"
        users = " ".join(f'user_{role}="{PASSWORD}"' for role in ROLES)
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        super().__init__(data_dir, port=plain, overrides={
            "listeners": f"{listeners},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": listeners,
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "listener.security.protocol.map": (
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT"
            ),
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": f"{login} {users};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": "false",
        })  # fmt: skip
        self.named = f"kafka://{HOST}:{named}"


def settings_of(broker: AuthorisedKafka, role: str) -> dict[str, str]:
    """How a process of the role reaches the broker."""
    return {
        "AUDIT_BROKER": broker.named, "AUDIT_KAFKA_SECURITY": "SASL_PLAINTEXT",
        "AUDIT_KAFKA_SASL_MECHANISM": "PLAIN", "AUDIT_KAFKA_SASL_USERNAME": role,
        "AUDIT_KAFKA_SASL_PASSWORD": PASSWORD,
    }  # fmt: skip


async def grant(connection: KafkaConnection, topics: Iterable[Topic], app_id: str) -> None:
    """What the files declare, and what topics/README.md says beside them."""
    async with open_admin(connection) as admin:
        for acl in (*_declared(topics), *_beside(app_id)):
            await _create(admin, acl)


def _declared(topics: Iterable[Topic]) -> Iterator[Acl]:
    for topic in topics:
        for role, operations in topic.acls.items():
            for operation in operations:
                yield _TOPIC, topic.topic, _LITERAL, role, operation


def _beside(app_id: str) -> Iterator[Acl]:
    yield _GROUP, app_id, _LITERAL, "worker", "READ"
    for operation in ("READ", "DESCRIBE"):
        yield _GROUP, app_id, _LITERAL, "operator", operation
    for role in ("worker", "operator"):
        for operation in ("WRITE", "DESCRIBE"):
            yield _TRANSACTIONAL_ID, f"{app_id}-", _PREFIXED, role, operation


async def _create(admin: AIOKafkaAdminClient, acl: Acl) -> None:
    resource, name, pattern, role, operation = acl
    answer = await admin._send_request(CreateAclsRequest(
        resource, name, pattern, f"User:{role}", "*", _OPERATIONS[operation], _ALLOW,
    ))  # fmt: skip
    [(error, text)] = answer.creation_responses
    assert not error, f"{acl}: {text}"
