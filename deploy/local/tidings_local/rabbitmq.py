"""Runs a private, real RabbitMQ: its own node, ports, secrets and data."""

import subprocess
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

from tidings_local.daemon import Command, Daemon, minimal_environment
from tidings_local.data_directory import DataDirectory, write_private
from tidings_local.errors import LocalStackError
from tidings_local.ports import LOOPBACK, accepts_login, answers
from tidings_local.rabbitmq_config import (
    CONFIG,
    CTL_ERLANG,
    PLUGINS,
    SERVER_ERLANG,
    SPINNING,
)
from tidings_local.rabbitmq_home import without_unused_plugins
from tidings_local.rabbitmq_identity import Identity, identity
from tidings_local.rabbitmq_programs import RabbitMQPrograms, find_rabbitmq

USER = "tidings"

# After SIGTERM the stores are closed within a fraction of a second. Then the management plugin's
# last act waits five seconds on Erlang's application controller, which is busy stopping it. What
# was confirmed is on disk by then, so we don't wait for that.
_GRACE = 3.0


class RabbitMQ:
    """A private RabbitMQ under a data directory; starting it again keeps its data."""

    def __init__(
        self,
        data: Path,
        *,
        home: Path | None = None,
        statistics_interval: float = 5.0,
        start_limit: float = 90.0,
        spinning: bool = True,
    ) -> None:
        """Starts nothing yet.

        Args:
            data: The directory for everything it writes.
            home: Where RabbitMQ is installed, where that is not one of the usual places.
            statistics_interval: Seconds between two updates of the numbers the management API
                shows.
            start_limit: Seconds it may take to become ready.
            spinning: Whether its threads look for work for a moment before they sleep: who runs it
                on a machine that has enough else to do saves CPU without.
        """
        self._directory = DataDirectory(data)
        self._home = home
        self._statistics_interval = statistics_interval
        self._start_limit = start_limit
        self._spinning = spinning
        self._identity: Identity | None = None
        self._programs: RabbitMQPrograms | None = None
        self._sbin = Path()
        self._epmd: Daemon | None = None
        self._server: Daemon | None = None

    @property
    def user(self) -> str:
        """The administrator's name."""
        return USER

    @property
    def password(self) -> str:
        return self._known.password

    @property
    def amqp_port(self) -> int:
        return self._known.amqp_port

    @property
    def amqp_url(self) -> str:
        """Where to connect, to the default virtual host."""
        return f"amqp://{USER}:{self.password}@{LOOPBACK}:{self.amqp_port}"

    @property
    def management_url(self) -> str:
        """The management UI and API, without credentials."""
        return f"http://{LOOPBACK}:{self._known.management_port}"

    @property
    def management_login_url(self) -> str:
        """The management API with credentials, as `Management` takes it."""
        return f"http://{USER}:{self.password}@{LOOPBACK}:{self._known.management_port}"

    @property
    def log(self) -> Path:
        """The file the server logs to."""
        return self._directory.path / "server.log"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._server.pid if self._server else None

    @property
    def version(self) -> str:
        """E.g. `3.10.8`."""
        return self._installed.version

    def url(self, vhost: str) -> str:
        """Where to connect to a virtual host."""
        return f"{self.amqp_url}/{quote(vhost, safe='')}"

    def running(self) -> bool:
        return self._server is not None and self._server.running()

    def start(self) -> None:
        """Starts the server and waits until it takes connections; does nothing where it runs.

        Raises:
            NotInstalled: RabbitMQ is not on this machine.
            AlreadyRunning: Another process uses the data directory.
            StartFailed: It did not become ready; the message has the end of its log.
        """
        if self.running():
            return
        programs = self._installed
        self._directory.acquire()
        try:
            self._prepare()
            self._start_epmd(programs)
            self._server = Daemon(self._server_command())
            self._server.wait_until_ready(self._ready, self._start_limit)
        except BaseException:
            self.kill()
            self._directory.release()
            raise

    def stop(self) -> None:
        """Ends the server in good order, and its epmd; does nothing where it doesn't run."""
        if self._server:
            self._server.stop(_GRACE)
            self._server = None
        self._stop_epmd()
        self._directory.release()

    def kill(self) -> None:
        """Ends the server with SIGKILL, as a crash would; `start()` brings it back.

        Quorum queues that were declared in the last three seconds may come back broken, without a
        leader and without what was confirmed to them: `settle()` first.
        """
        if self._server:
            self._server.kill()
            self._server = None
        self._stop_epmd()

    def settle(self) -> None:
        """Makes RabbitMQ write down which quorum queues there are, which it does every 3 s."""
        self.rabbitmqctl("eval", "[dets:sync(Table) || Table <- dets:all()].")

    def restart(self) -> None:
        """Stops it in good order and starts it again, on the same ports."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Kill it; its data is not needed any more."""
        self.kill()
        self._directory.release()

    def rabbitmqctl(self, *arguments: str, timeout: float = 60) -> str:
        """Runs `rabbitmqctl` against this server and returns what it printed.

        Raises:
            LocalStackError: It failed; the message has what it said.
        """
        done = subprocess.run(
            self._invocation("rabbitmqctl", "--quiet", *arguments),
            env=self._environment(),
            cwd=self._directory.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            output = (done.stderr or done.stdout).strip()
            raise LocalStackError(f"rabbitmqctl {' '.join(arguments)} failed: {output}")
        return done.stdout

    @property
    def _installed(self) -> RabbitMQPrograms:
        if self._programs is None:
            self._programs = find_rabbitmq(self._home)
        return self._programs

    @property
    def _known(self) -> Identity:
        if self._identity is None:
            raise LocalStackError("RabbitMQ has not been started yet, so it has no address")
        return self._identity

    def _prepare(self) -> None:
        """Decides ports and secrets, the same as last time where possible, and writes the files."""
        if self._identity is None:
            self._identity = identity(self._directory.recall())
            self._directory.remember({k: str(v) for k, v in asdict(self._identity).items()})
        path = self._directory.path
        write_private(path / "rabbitmq.conf", self._config())
        (path / "enabled_plugins").write_text(f"[{','.join(PLUGINS)}].\n")
        self._sbin = self._programs_to_run()
        (path / "rabbitmq-env.conf").write_text("")
        (path / "home").mkdir(mode=0o700, exist_ok=True)
        (path / "data").mkdir(mode=0o700, exist_ok=True)
        write_private(path / "home" / ".erlang.cookie", self._identity.cookie)
        (path / "home" / ".erlang.cookie").chmod(0o400)

    def _config(self) -> str:
        return CONFIG.format(
            address=LOOPBACK,
            amqp_port=self._known.amqp_port,
            management_port=self._known.management_port,
            user=USER,
            password=self._known.password,
            statistics_interval=round(self._statistics_interval * 1000),
        )

    def _start_epmd(self, programs: RabbitMQPrograms) -> None:
        """Erlang's port mapper, our own: one that `erl` starts itself would outlive the server."""
        argv = [str(programs.epmd), "-address", LOOPBACK, "-port", str(self._known.epmd_port)]
        self._epmd = Daemon(
            Command(
                name="epmd",
                argv=argv,
                log=self._directory.path / "epmd.log",
                env=self._environment(),
                cwd=self._directory.path,
            )
        )
        self._epmd.wait_until_ready(lambda: answers(self._known.epmd_port), 10)

    def _stop_epmd(self) -> None:
        if self._epmd:
            self._epmd.stop(2)
            self._epmd = None

    def _invocation(self, program: str, *arguments: str) -> list[str]:
        """How one of RabbitMQ's programs is started; a RabbitMQ in a folder of its own differs."""
        return [str(self._sbin / program), *arguments]

    def _programs_to_run(self) -> Path:
        """Where the programs are, as far as they are needed."""
        slim = without_unused_plugins(
            self._installed, self._directory.path / "installation", PLUGINS
        )
        return slim or self._installed.sbin

    def _server_command(self) -> Command:
        return Command(
            name="RabbitMQ",
            argv=self._invocation("rabbitmq-server"),
            log=self.log,
            env=self._environment(),
            cwd=self._directory.path,
            keep_open=(self._directory.lock,),
        )

    def _environment(self) -> dict[str, str]:
        path, known = self._directory.path, self._known
        environment = minimal_environment(
            HOME=str(path / "home"),
            # The script then becomes the server instead of waiting for it, so the process we
            # started is the one we stop.
            RUNNING_UNDER_SYSTEMD="true",
            RABBITMQ_CONF_ENV_FILE=str(path / "rabbitmq-env.conf"),
            RABBITMQ_CONFIG_FILE=str(path / "rabbitmq.conf"),
            RABBITMQ_ADVANCED_CONFIG_FILE=str(path / "advanced.config"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(path / "enabled_plugins"),
            RABBITMQ_NODENAME=known.node,
            RABBITMQ_MNESIA_BASE=str(path / "data"),
            RABBITMQ_LOG_BASE=str(path / "log"),
            RABBITMQ_LOGS="-",
            RABBITMQ_PID_FILE=str(path / "pid"),
            RABBITMQ_DIST_PORT=str(known.distribution_port),
            RABBITMQ_SCHEDULER_BIND_TYPE="u",
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=SERVER_ERLANG.format(
                tick=round(self._statistics_interval * 1000),
                spinning=SPINNING if self._spinning else "",
            ),
            RABBITMQ_CTL_ERL_ARGS=CTL_ERLANG,
            ERL_EPMD_PORT=str(known.epmd_port),
            ERL_EPMD_ADDRESS=LOOPBACK,
        )
        environment["PATH"] = f"{self._installed.erl.parent}:{environment['PATH']}"
        return environment

    def _ready(self) -> bool:
        if not answers(self._known.amqp_port):
            return False
        return accepts_login(f"{self.management_url}/api/whoami", USER, self.password)
