"""Live commands through the real broker and back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from config.api.problems import Problem
from config.celery import app
from config.ids import new_id
from conftest import Person, wait_for
from instances import commands, tasks
from instances.holding import attachments, current
from instances.holding.commands import Command, Commands
from instances.models import Instance, Worker
from instances.states import State
from instances.whatsapp.failures import SendFailed


class Number:
    """A held number that can be taken offline."""

    def __init__(self, instance_id: str) -> None:
        self.instance_id = instance_id
        self.online = True
        self.commands = Commands(self)  # type: ignore[arg-type]


class Desk:
    """Stands in for the holder of this process."""

    def __init__(self) -> None:
        self.numbers: dict[str, Number] = {}

    def wake(self, instance_ids: list[str]) -> None:
        raise AssertionError("nobody wakes it here")

    def command(self, instance_id: str, command: Command) -> None:
        if number := self.numbers.get(instance_id):
            number.commands.put(command)
        else:
            commands.answer(command.call_id, commands.offline())


@pytest.fixture
def desk() -> Iterator[Desk]:
    current.holder = desk = Desk()
    yield desk
    current.holder = None


@pytest.fixture
def queue() -> str:
    return f"session.{new_id('wrk')}"


@pytest.fixture
def number(alice: Person, make_instance: Any, worker: Worker, desk: Desk, queue: str) -> Iterator[Instance]:
    """Alice's held number; a thread takes the tasks of its worker's queue, as Celery does."""
    Worker.objects.filter(pk=worker.pk).update(queue=queue)
    number = make_instance(alice, holder=worker)
    desk.numbers[number.id] = Number(number.id)

    def work() -> None:
        with app.connection_for_read() as broker:
            messages = broker.SimpleQueue(queue)
            while order := messages.get(timeout=60):
                order.ack()
                if order.headers["task"] == "end":
                    break
                tasks.command(**order.payload[1])
            messages.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield number
    app.send_task("end", queue=queue)
    thread.join()


@pytest.fixture
def command() -> Iterator[Callable[[str, Any], None]]:
    """Offers commands for the time of a test."""
    before = dict(attachments.commands)
    yield attachments.commands.__setitem__
    attachments.commands.clear()
    attachments.commands.update(before)


def test_a_command_is_run_where_the_number_is_held_and_answered(number: Instance, command: Any) -> None:
    command("add", lambda held, arguments: {"sum": sum(arguments["numbers"]), "by": held.instance_id})
    assert commands.call(number, "add", {"numbers": [1, 2]}) == {"sum": 3, "by": number.id}
    assert commands.call(number, "add", {"numbers": []})["sum"] == 0


def refused(instance: Instance, name: str, **options: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        commands.call(instance, name, **options)
    return caught.value


def test_a_number_without_a_live_worker_is_offline(number: Instance, worker: Worker) -> None:
    Worker.objects.filter(pk=worker.pk).update(heartbeat_at="2020-01-01T00:00Z")
    problem = refused(number, "add")
    assert (problem.code, problem.status, problem.headers) == ("instance_offline", 503, {"Retry-After": "5"})


def test_a_number_that_is_not_connected_is_not_asked(number: Instance, command: Any) -> None:
    command("ping", lambda held, arguments: None)
    for state in set(State.values) - {State.CONNECTED}:
        number.state = state
        assert refused(number, "ping").code == "instance_offline"


def test_a_worker_that_holds_the_number_no_more_says_so(number: Instance, desk: Desk) -> None:
    desk.numbers.clear()
    assert refused(number, "add").code == "instance_offline"


def test_a_number_that_lost_its_connection_runs_nothing(number: Instance, desk: Desk, command: Any) -> None:
    ran = []
    command("note", lambda held, arguments: ran.append(1))
    desk.numbers[number.id].online = False
    assert refused(number, "note").code == "instance_offline"
    assert ran == []


def test_what_the_command_raises_is_raised_where_it_was_called(number: Instance, command: Any) -> None:
    errors = {
        "not_on_whatsapp": Problem("not_on_whatsapp", "Nobody there."),
        "instance_offline": SendFailed("client is nil"),
        "engine_failed": SendFailed("something new"),
        "internal_error": ValueError("a bug"),
    }

    def fail(held: Any, arguments: dict[str, Any]) -> None:
        raise errors[arguments["code"]]

    command("fail", fail)
    for code in errors:
        assert refused(number, "fail", arguments={"code": code}).code == code
    assert refused(number, "fail", arguments={"code": "not_on_whatsapp"}).detail == "Nobody there."


def test_a_command_without_an_answer_ends_in_time(number: Instance, command: Any) -> None:
    free = threading.Event()
    command("hang", lambda held, arguments: free.wait(20))
    problem = refused(number, "hang", seconds=0.3)
    free.set()
    assert (problem.code, problem.status, problem.headers) == ("no_answer", 504, {"Retry-After": "5"})


def test_a_stuck_number_does_not_hold_up_another(
    number: Instance, desk: Desk, command: Any, alice: Person, make_instance: Any, worker: Worker
) -> None:
    free = threading.Event()
    command("hang", lambda held, arguments: free.wait(20))
    command("ping", lambda held, arguments: "pong")
    other = make_instance(alice, holder=worker)
    desk.numbers[other.id] = Number(other.id)
    assert refused(number, "hang", seconds=0.3).code == "no_answer"
    assert commands.call(other, "ping") == "pong"
    free.set()


def test_what_nobody_waits_for_any_more_is_not_run(number: Instance, desk: Desk, command: Any) -> None:
    free, begun, ran = threading.Event(), threading.Event(), []

    def hang(held: Any, arguments: dict[str, Any]) -> None:
        begun.set()
        free.wait(20)

    command("hang", hang)
    command("note", lambda held, arguments: ran.append(arguments["who"]))
    assert refused(number, "hang", seconds=0.2).code == "no_answer"
    assert begun.is_set()
    assert refused(number, "note", arguments={"who": "late"}, seconds=0.2).code == "no_answer"
    free.set()
    commands.call(number, "note", {"who": "next"})
    assert ran == ["next"]


def test_too_many_waiting_commands_are_refused_at_once(number: Instance, desk: Desk, command: Any) -> None:
    free = threading.Event()
    command("hang", lambda held, arguments: free.wait(20))
    for _ in range(250):
        desk.numbers[number.id].commands.put(Command("nobody", "hang", {}, float("inf")))
    assert refused(number, "hang").code == "unavailable"
    free.set()
    wait_for(lambda: not desk.numbers[number.id].commands._running)


def test_the_caller_holds_no_database_connection_while_it_waits(
    committed: None, number: Instance, command: Any
) -> None:
    mine = connections["default"]
    command("look", lambda held, arguments: mine.connection is None)
    assert commands.call(number, "look") is True
