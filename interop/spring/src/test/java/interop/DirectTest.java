package interop;

import static interop.Client.PATIENCE;
import static interop.Client.next;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import example.chat.ChatController.Said;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.messaging.simp.stomp.StompHeaders;

/** A WebSocketStompClient straight to /ws, with a JWT. */
class DirectTest {
  private static Broker broker;
  private static String url;

  @BeforeAll
  static void start() throws Exception {
    broker = new Broker();
    url = "ws://127.0.0.1:" + broker.http + "/ws";
  }

  @AfterAll
  static void stop() throws Exception {
    broker.close();
  }

  @Test
  void aTokenSaysWhoItIs() throws Exception {
    try (Client alice = Client.connect(url, broker.token("alice")); Client bob = Client.connect(url, broker.token("bob"))) {
      BlockingQueue<Said> lobby = bob.subscribe("/topic/lobby", Said.class);
      BlockingQueue<Said> notes = bob.subscribe("/user/queue/notes", Said.class);
      CountDownLatch sent = new CountDownLatch(1);
      StompHeaders headers = new StompHeaders();
      headers.setDestination("/topic/lobby");
      headers.setReceipt("1");
      alice.session.send(headers, new Said("alice", "hello")).addReceiptTask(sent::countDown);
      assertThat(next(lobby)).isEqualTo(new Said("alice", "hello"));
      assertThat(sent.await(PATIENCE, TimeUnit.SECONDS)).isTrue();
      alice.session.send("/user/bob/queue/notes", new Said("alice", "for you"));
      assertThat(next(notes)).isEqualTo(new Said("alice", "for you"));
    }
  }

  @Test
  void aSpringClientServesRequests() throws Exception {
    String onlyAsks = broker.token("alice", "--send", "/app/**", "--subscribe", "/user/**");
    try (Client server = Client.connect(url, broker.token("server")); Client alice = Client.connect(url, onlyAsks)) {
      server.serve("/app/greeting", request -> new Said("server", "hello " + request.getFirst("user")));
      // A SUBSCRIBE of a user that serves nothing is one request, and its answer comes there.
      BlockingQueue<Said> answers = new LinkedBlockingQueue<>();
      alice.session.subscribe("/app/greeting", alice.inboxOf(answers, Said.class));
      assertThat(next(answers)).isEqualTo(new Said("server", "hello alice"));
    }
  }

  @Test
  void aTokenThatIsNoneIsRefused() {
    assertThatThrownBy(() -> Client.connect(url, "ey.no.token")).hasMessageContaining("closed");
    assertThatThrownBy(() -> Client.connect(url, null)).hasMessageContaining("closed");
  }
}
