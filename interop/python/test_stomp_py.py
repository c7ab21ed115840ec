"""stompbox against stomp.py, over TCP and WebSocket, as client and as app server."""

import faulthandler
import os
import queue
import signal
import subprocess
import sys
import time
import unittest

import stomp

from broker import Broker

PATIENCE = 60  # seconds; nothing here measures time
EXAMPLE = os.path.join(os.path.dirname(__file__), "..", "..", "examples", "python", "app_server.py")


class Inbox(stomp.ConnectionListener):
    """What comes, to be taken one by one."""

    def __init__(self):
        self.messages, self.receipts, self.errors = queue.Queue(), queue.Queue(), queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)

    def next(self):
        return self.messages.get(timeout=PATIENCE)


class StompPy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        faulthandler.dump_traceback_later(5 * PATIENCE, exit=True)  # a test that hangs says where
        cls.broker = Broker()

    @classmethod
    def tearDownClass(cls):
        assert cls.broker.stop() == 0
        faulthandler.cancel_dump_traceback_later()

    def connect(self, make=stomp.Connection12, **headers):
        beats = {} if make is stomp.Connection10 else {"heartbeats": (5000, 5000)}
        connection = make([("127.0.0.1", self.broker.tcp)], **beats)
        inbox = Inbox()
        connection.set_listener("", inbox)
        if headers:
            connection.connect(wait=True, headers=headers)
        else:
            connection.connect("guest", "guest", wait=True)
        self.addCleanup(lambda: connection.is_connected() and connection.disconnect())
        return connection, inbox

    def subscribe(self, connection, inbox, destination, id, ack="auto", **headers):
        connection.subscribe(destination, id=id, ack=ack, headers={"receipt": "subscribe-" + id, **headers})
        self.assertEqual(inbox.receipts.get(timeout=PATIENCE), "subscribe-" + id)

    def test_topics_in_each_version(self):
        for make in (stomp.Connection10, stomp.Connection11, stomp.Connection12):
            connection, inbox = self.connect(make)
            self.subscribe(connection, inbox, "/topic/py", "t")
            for i in range(100):
                connection.send("/topic/py", f"größe:\n{i}", headers={"n": str(i), "colon": "a:b"} if make is not stomp.Connection10 else {"n": str(i)})
            for i in range(100):
                m = inbox.next()
                self.assertEqual((m.body, m.headers["n"]), (f"größe:\n{i}", str(i)))
                if make is not stomp.Connection10:
                    self.assertEqual(m.headers["colon"], "a:b")

    def test_websocket_with_a_token(self):
        connection = stomp.WSStompConnection([("127.0.0.1", self.broker.http)], ws_path="/ws")
        inbox = Inbox()
        connection.set_listener("", inbox)
        connection.connect(wait=True, headers={"Authorization": "Bearer " + self.broker.token("carol")})
        self.addCleanup(connection.disconnect)
        self.subscribe(connection, inbox, "/topic/ws", "t")
        connection.send("/topic/ws", "hello")
        m = inbox.next()
        self.assertEqual((m.body, m.headers["user"]), ("hello", "carol"))

    def test_queues_acknowledge_and_roll_back(self):
        sender, sent = self.connect()
        transaction = sender.begin()
        sender.send("/queue/py", "aborted", transaction=transaction)
        sender.abort(transaction)
        transaction = sender.begin()
        for i in range(3):
            sender.send("/queue/py", str(i), transaction=transaction)
        sender.commit(transaction, headers={"receipt": "committed"})
        self.assertEqual(sent.receipts.get(timeout=PATIENCE), "committed")
        consumer, inbox = self.connect()
        self.subscribe(consumer, inbox, "/queue/py", "q", ack="client-individual")
        first = inbox.next()
        self.assertEqual(first.body, "0")
        consumer.nack(first.headers["ack"])
        seen = {}
        while len(seen) < 3:
            m = inbox.next()
            seen[m.body] = m.headers.get("redelivered")
            consumer.ack(m.headers["ack"])
        self.assertEqual(sorted(seen), ["0", "1", "2"])
        self.assertEqual(seen["0"], "true")

    def test_nack_rejects(self):
        for requeue in ("false", False):
            sender, _ = self.connect()
            sender.send("/queue/reject", "x")
            consumer, inbox = self.connect()
            self.subscribe(consumer, inbox, "/queue/reject", "q", ack="client-individual")
            consumer.nack(inbox.next().headers["ack"], requeue=requeue)
            self.subscribe(consumer, inbox, "/queue/DLQ.reject", "d")
            m = inbox.next()
            self.assertEqual((m.headers["destination"], m.headers["dead-letter-reason"]), ("/queue/DLQ.reject", "rejected"))
            consumer.disconnect()

    def test_a_client_asks(self):
        server, requests = self.connect()
        self.subscribe(server, requests, "/app/py.ask", "app", ack="client-individual")
        client, answers = self.connect(Authorization="Bearer " + self.broker.token("dave"))
        client.send("/app/py.ask", "1 2 39", headers={"reply-to": "/temp-queue/a", "correlation-id": "7"})
        request = requests.next()
        self.assertEqual(request.headers["user"], "dave")
        server.send(request.headers["reply-to"], str(sum(map(int, request.body.split()))), headers={"correlation-id": request.headers["correlation-id"]})
        server.ack(request.headers["ack"])
        answer = answers.next()
        self.assertEqual((answer.body, answer.headers["correlation-id"], answer.headers["subscription"]), ("42", "7", "/temp-queue/a"))

    def test_the_example_answers(self):
        self.run_example()
        lobby, inbox = self.connect()
        self.subscribe(lobby, inbox, "/topic/chat.lobby", "l")
        self.assertEqual(self.broker.ask("/app/python.hello", "how are you?"), "hello guest\n")
        self.assertEqual(inbox.next().body, "guest asks: how are you?")

    def test_a_killed_app_server_loses_no_request(self):
        doomed, requests = self.connect()
        self.subscribe(doomed, requests, "/app/py.kill", "app", ack="client-individual")
        client, _ = self.connect()
        for i in range(50):
            client.send("/app/py.kill", str(i))
        for i in range(50):
            self.assertEqual(requests.next().body, str(i))
        other, inbox = self.connect()
        self.subscribe(other, inbox, "/app/py.kill", "app", ack="client-individual")
        doomed.transport.disconnect_socket()  # without a DISCONNECT
        seen = set()
        while len(seen) < 50:
            request = inbox.next()
            self.assertEqual(request.headers["redelivered"], "true")
            seen.add(request.body)
            other.ack(request.headers["ack"])

    def run_example(self):
        process = subprocess.Popen([sys.executable, EXAMPLE], env={**os.environ, "STOMPBOX_TCP": f"127.0.0.1:{self.broker.tcp}"}, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.send_signal, signal.SIGKILL)
        self.assertEqual(process.stdout.readline(), "serving /app/python.*\n")
        for _ in range(100):  # its SUBSCRIBE has no receipt
            if "no-app-server" not in self.broker.ask("/app/python.hello", ""):
                return
            time.sleep(0.05)


if __name__ == "__main__":
    unittest.main(verbosity=2)
