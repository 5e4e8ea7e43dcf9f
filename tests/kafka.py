"""A Kafka for the tests: Apache Kafka from Maven's jars if `mvn` and Java are available, else librdkafka's mock.

`KAFKA_FOR_TESTS=mock` chooses the mock; `KAFKA_FOR_TESTS=real` fails without the real one (CI).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests import certificates
from tests.ports import free_port
from tests.processes import one_at_a_time
from wokibrain.events.types import topics

ROOT: Final = Path(__file__).resolve().parent.parent
POM: Final = ROOT / "deploy" / "kafka" / "pom.xml"
JARS: Final = ROOT / "deploy" / "kafka" / "target" / "jars"
START_TIMEOUT: Final = 60.0
RESOLVE_TIMEOUT: Final = 300.0


AnyKafka = TypeVar("AnyKafka", bound="Kafka")


class Unavailable(Exception):
    """No Apache Kafka can be started here; the message says why."""


def _patiently(passing: int, action: Callable[[], object]) -> None:
    """Retry while it fails with that error, for as long as a killed client counts as a member."""
    deadline = time.monotonic() + 20
    while True:
        try:
            action()
            return
        except KafkaException as error:
            if error.args[0].code() != passing or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _forget(admin: AdminClient, group: str) -> None:
    admin.delete_consumer_groups([group])[group].result(10)


@dataclass
class Broker:
    """A broker at ``address``; ``kind`` is real or mock."""

    kind: str
    address: str

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def create(self, topic: str, partitions: int = 1) -> None:
        admin = self.admin()
        # A topic deleted a moment ago may still exist.
        _patiently(
            KafkaError.TOPIC_ALREADY_EXISTS,
            lambda: admin.create_topics([NewTopic(topic, partitions)])[topic].result(20),
        )

    def delete(self, topic: str) -> None:
        admin = self.admin()
        admin.delete_topics([topic])[topic].result(20)

    def reset(self, partitions: int = 6) -> None:
        """Empty the topics and delete the groups."""
        admin = self.admin()
        names = [name for topic in topics() for name in (topic.kafka, topic.dead_letters)]
        for name in set(names) & set(admin.list_topics(timeout=10).topics):
            self.delete(name)
        for group in admin.list_consumer_groups().result(10).valid:
            _patiently(KafkaError.NON_EMPTY_GROUP, partial(_forget, admin, group.group_id))
        for name in names:
            self.create(name, partitions)

    def send(self, topic: str, value: bytes, key: bytes = b"") -> None:
        """Send one message with any bytes."""
        errors: list[Any] = []
        producer = Producer(
            {"bootstrap.servers": self.address, "message.max.bytes": 4_000_000, "log_level": 0}
        )
        producer.produce(topic, value, key, on_delivery=lambda error, _: errors.append(error))
        assert producer.flush(10) == 0
        assert errors == [None]

    def read(self, topic: str, timeout: float = 15.0) -> list[Message]:
        """Return all messages of a topic up to its present end, each partition's in order."""
        reader = Consumer(
            {
                "bootstrap.servers": self.address,
                "group.id": f"read-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "log_level": 0,
            }
        )
        messages: list[Message] = []
        try:
            partitions = reader.list_topics(topic, timeout=10).topics[topic].partitions
            ends = {
                number: reader.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
                for number in partitions
            }
            remaining = {number: high for number, (low, high) in ends.items() if high > low}
            reader.assign([TopicPartition(topic, number, ends[number][0]) for number in remaining])
            deadline = time.monotonic() + timeout
            while remaining and time.monotonic() < deadline:
                for message in reader.consume(1000, 0.2):
                    if message.error() is None:
                        messages.append(message)
                        if (message.offset() or 0) + 1 >= remaining.get(message.partition(), 0):
                            remaining.pop(message.partition(), None)
            assert not remaining, f"{topic} could not be read to its end"
        finally:
            reader.close()
        return messages

    def ready(self) -> bool:
        try:
            return bool(self.admin().list_topics(timeout=1).brokers)
        except KafkaException:
            return False


@dataclass
class Mock(Broker):
    def reset(self, partitions: int = 6) -> None:
        """Do nothing: the mock cannot delete, so its tests share its messages."""


@dataclass
class Kafka(Broker):
    """A single-node Apache Kafka (KRaft) on a folder; can be killed, stopped, frozen and started again."""

    folder: Path = field(default_factory=Path)
    process: subprocess.Popen[bytes] | None = None
    properties: dict[str, str] = field(default_factory=dict)
    credentials: Sequence[str] = ()

    @property
    def data(self) -> Path:
        """Return the folder of its messages."""
        return self.folder / "data"

    def start(self) -> None:
        config = self.folder / "server.properties"
        if not config.exists():
            lines = _properties(self.folder, self.address) | self.properties
            config.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
            scram = [part for one in self.credentials for part in ("--add-scram", one)]
            self._java("kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(config), *scram)
        with (self.folder / "kafka.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_command(), "kafka.Kafka", str(config)], stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = (self.folder / "kafka.log").read_text(errors="replace")[-2000:]
                self.kill()
                raise Unavailable(f"Apache Kafka did not start: {tail}")
            time.sleep(0.1)

    def _java(self, *arguments: str) -> None:
        result = subprocess.run(
            [*_command(), *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        if result.returncode:
            raise Unavailable(f"{arguments[0]}: {result.stderr[-1000:]}{result.stdout[-1000:]}")

    def stop(self) -> None:
        """Stop it in order, which takes Kafka a while; ``kill`` is faster."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: it accepts connections and never responds."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def _end(self, number: int) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)
            self.process.wait(30)
            self.process = None


def _cluster_id() -> str:
    return "d29raWJyYWluLXRlc3RzAA"


def _command() -> list[str]:
    # A small heap and only the fast-starting compiler: these brokers live for minutes.
    return ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{JARS}/*"]


def _free_address() -> str:
    return f"127.0.0.1:{free_port()}"


def _properties(folder: Path, address: str) -> dict[str, str]:
    controller = f"127.0.0.1:{free_port()}"
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"PLAINTEXT://{address},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{address}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(folder / "data"),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "auto.create.topics.enable": "false",
        "message.max.bytes": "4000000",
        "log.cleaner.enable": "false",
        # A killed broker is readmitted at once.
        "broker.session.timeout.ms": "1000",
        "broker.heartbeat.interval.ms": "300",
        "num.network.threads": "2",
        "num.io.threads": "2",
    }


def _resolve() -> None:
    """Download the jars if they are missing. Raises ``Unavailable``."""
    if os.environ.get("KAFKA_FOR_TESTS") == "mock":
        raise Unavailable("KAFKA_FOR_TESTS=mock")
    missing = [tool for tool in ("mvn", "java") if shutil.which(tool) is None]
    if missing:
        raise Unavailable(f"no {' and no '.join(missing)} here")
    with one_at_a_time(POM):
        if not any(JARS.glob("kafka_2.13-*.jar")):
            _download()


def _download() -> None:
    command = ["mvn", "-B", "-q", "-f", str(POM), "dependency:copy-dependencies"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RESOLVE_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Unavailable("Maven took too long") from None
    if result.returncode:
        raise Unavailable(f"Maven: {result.stdout[-500:]}")


@contextlib.contextmanager
def real() -> Iterator[Kafka]:
    """Run a private Apache Kafka. Raises ``Unavailable``."""
    with _folder() as folder, _run(Kafka(_kind(), _free_address(), folder)) as kafka:
        yield kafka


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    _resolve()
    with tempfile.TemporaryDirectory(prefix="wokibrain-kafka-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextlib.contextmanager
def _run(kafka: AnyKafka) -> Iterator[AnyKafka]:
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.kill()


def _kind() -> str:
    version = next(JARS.glob("kafka_2.13-*.jar")).stem.removeprefix("kafka_2.13-")
    return f"Apache Kafka {version}"


# --- with TLS and passwords ------------------------------------------------------------------------------------------

USER: Final = "wokibrain"
PASSWORD: Final = "correct-horse-battery"


@dataclass
class Secured(Kafka):
    """A Kafka with TLS listeners, with and without passwords; ``address`` is a plain one for the tests themselves."""

    sasl: str = ""
    tls: str = ""
    ca: Path = field(default_factory=Path)
    other_ca: Path = field(default_factory=Path)


@contextlib.contextmanager
def secured() -> Iterator[Secured]:
    """Run a private Apache Kafka that knows USER by SCRAM-SHA-512 and by PLAIN. Raises ``Unavailable``."""
    with _folder() as folder:
        address, sasl, tls = _free_address(), _free_address(), _free_address()
        ca = certificates.authority(folder / "ca.pem")
        other = certificates.authority(folder / "other.pem")
        certificates.server(folder / "server.pem", ca)
        mechanism = "listener.name.sasl_ssl.{}.sasl.jaas.config"
        module = "org.apache.kafka.common.security.{} required"
        controller = f"127.0.0.1:{free_port()}"
        properties = {
            "listeners": f"PLAINTEXT://{address},SASL_SSL://{sasl},SSL://{tls},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{address},SASL_SSL://{sasl},SSL://{tls}",
            "listener.security.protocol.map": ",".join(
                f"{name}:{name}" for name in ("PLAINTEXT", "SASL_SSL", "SSL")
            )
            + ",CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"1@{controller}",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(folder / "server.pem"),
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            mechanism.format("plain"): f'{module.format("plain.PlainLoginModule")} user_{USER}="{PASSWORD}";',
            mechanism.format("scram-sha-512"): f"{module.format('scram.ScramLoginModule')};",
        }
        credentials = [f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"]
        kafka = Secured(
            _kind(), address, folder, None, properties, credentials, sasl, tls, ca.path, other.path
        )
        with _run(kafka):
            yield kafka


@contextlib.contextmanager
def mock() -> Iterator[Broker]:
    """Run librdkafka's mock broker, in this process: it speaks the protocol and stores nothing on disk."""
    from webhooks.event_types import DELIVERIES

    host = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused:1", "log_level": 0})
    (broker,) = host.list_topics(timeout=10).brokers.values()
    for topic in topics():
        # The mock creates a topic when it is asked about it, and has no other way.
        for name in (topic.kafka, topic.dead_letters):
            host.list_topics(name, timeout=10)
    host.list_topics(DELIVERIES, timeout=10)
    yield Mock("librdkafka's mock broker", f"{broker.host}:{broker.port}")


@contextlib.contextmanager
def any_broker() -> Iterator[Broker]:
    with contextlib.ExitStack() as stack:
        try:
            yield stack.enter_context(real())
        except Unavailable as why:
            if os.environ.get("KAFKA_FOR_TESTS") == "real":
                raise
            print(f"no Apache Kafka ({why}); using the mock")
            yield stack.enter_context(mock())


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """Return the session's broker, real or mock."""
    with any_broker() as broker:
        print(f"tests run on {broker.kind} at {broker.address}")
        yield broker


@pytest.fixture(scope="module")
def secured_kafka() -> Iterator[Secured]:
    """Return the module's broker with TLS and passwords; skip the test without a real one."""
    with contextlib.ExitStack() as stack:
        try:
            broker = stack.enter_context(secured())
        except Unavailable as why:
            if os.environ.get("KAFKA_FOR_TESTS") == "real":
                raise
            pytest.skip(f"needs Apache Kafka: {why}")
        yield broker


@pytest.fixture(scope="session")
def real_kafka(kafka: Broker) -> Kafka:
    """Return the session's broker if it is the real one; skip the test otherwise."""
    if not isinstance(kafka, Kafka):
        pytest.skip("needs Apache Kafka")
    return kafka
