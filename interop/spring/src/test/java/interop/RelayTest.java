package interop;

import static interop.Client.PATIENCE;
import static interop.Client.next;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import example.chat.ChatApplication;
import example.chat.ChatController.Said;
import example.chat.ChatController.Whisper;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.boot.web.servlet.context.ServletWebServerApplicationContext;
import org.springframework.context.ApplicationListener;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.messaging.simp.SimpMessagingTemplate;
import org.springframework.messaging.simp.broker.BrokerAvailabilityEvent;
import org.springframework.messaging.simp.stomp.StompBrokerRelayMessageHandler;
import org.springframework.messaging.simp.user.SimpUserRegistry;

/** enableStompBrokerRelay over TCP, with two instances of the application on one broker. */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class RelayTest {
  private static Broker broker;
  private static Instance one;
  private static Instance two;

  /** One instance of the application. */
  static final class Instance {
    final ConfigurableApplicationContext context;
    final BlockingQueue<Boolean> availability = new LinkedBlockingQueue<>();

    Instance(Broker broker) {
      ApplicationListener<BrokerAvailabilityEvent> listener = e -> availability.add(e.isBrokerAvailable());
      context = new SpringApplicationBuilder(ChatApplication.class).listeners(listener)
          .run("--server.port=0", "--broker.port=" + broker.stomp, "--broker.heartbeat=1000",
              "--broker.login=spring", "--broker.passcode=" + Broker.PASSCODE,
              "--spring.main.banner-mode=off", "--logging.level.root=error");
    }

    Client connect(String user) throws Exception {
      int port = ((ServletWebServerApplicationContext) context).getWebServer().getPort();
      return Client.connect("ws://127.0.0.1:" + port + "/ws?user=" + user, null);
    }

    void becomes(boolean available) {
      await().atMost(Duration.ofSeconds(PATIENCE)).until(() -> relay().isBrokerAvailable() == available);
    }

    StompBrokerRelayMessageHandler relay() {
      return context.getBean(StompBrokerRelayMessageHandler.class);
    }
  }

  @BeforeAll
  static void start() throws Exception {
    broker = new Broker("STOMPBOX_HEARTBEAT_SEND", "1s", "STOMPBOX_HEARTBEAT_RECEIVE", "1s");
    one = new Instance(broker);
    two = new Instance(broker);
    one.becomes(true);
    two.becomes(true);
  }

  @AfterAll
  static void stop() throws Exception {
    one.context.close();
    two.context.close();
    broker.close();
  }

  @Test
  @Order(1)
  void messageMappingAndSendToReachBothInstances() throws Exception {
    try (Client alice = one.connect("alice"); Client bob = two.connect("bob")) {
      BlockingQueue<Said> hers = alice.subscribe("/topic/lobby", Said.class);
      BlockingQueue<Said> his = bob.subscribe("/topic/lobby", Said.class);
      for (int i = 0; i < 50; i++) {
        alice.session.send("/app/say", new Said(null, "hello " + i));
        assertThat(next(his)).isEqualTo(new Said("alice", "hello " + i));
        assertThat(next(hers)).isEqualTo(new Said("alice", "hello " + i));
      }
      one.context.getBean(SimpMessagingTemplate.class).convertAndSend("/topic/lobby", new Said("server", "news"));
      assertThat(next(his)).isEqualTo(new Said("server", "news"));
    }
  }

  @Test
  @Order(2)
  void sendToUserAnswersWhoAsked() throws Exception {
    try (Client alice = one.connect("alice"); Client bob = one.connect("bob")) {
      BlockingQueue<Said> hers = alice.subscribe("/user/queue/answers", Said.class);
      BlockingQueue<Said> his = bob.subscribe("/user/queue/answers", Said.class);
      BlockingQueue<Said> errors = alice.subscribe("/user/queue/errors", Said.class);
      alice.session.send("/app/echo", new Said(null, "anybody?"));
      assertThat(next(hers)).isEqualTo(new Said("alice", "anybody?"));
      alice.session.send("/app/echo", new Said(null, ""));
      assertThat(next(errors)).isEqualTo(new Said("server", "say something"));
      bob.session.send("/app/echo", new Said(null, "me"));
      assertThat(next(his)).isEqualTo(new Said("bob", "me"));
      assertThat(hers).isEmpty();
    }
  }

  @Test
  @Order(3)
  void convertAndSendToUserFindsUsersOfTheOtherInstance() throws Exception {
    SimpUserRegistry users = one.context.getBean(SimpUserRegistry.class);
    boolean unresolved = false;
    try (Client alice = one.connect("alice")) {
      // Instances tell each other of their users every ten seconds. A user that the
      // first one has not heard is looked for on the destination for unresolved ones.
      for (int i = 0; i < 3; i++) {
        String name = "newcomer" + i;
        try (Client newcomer = two.connect(name)) {
          BlockingQueue<Said> whispers = newcomer.subscribe("/user/queue/whispers", Said.class);
          unresolved |= users.getUser(name) == null;
          alice.session.send("/app/whisper", new Whisper(name, "welcome"));
          assertThat(next(whispers)).isEqualTo(new Said("alice", "welcome"));
        }
      }
      assertThat(unresolved).as("a whisper to a user that was not known yet").isTrue();
      try (Client bob = two.connect("bob"); Client bobsPhone = one.connect("bob")) {
        BlockingQueue<Said> his = bob.subscribe("/user/queue/whispers", Said.class);
        BlockingQueue<Said> phone = bobsPhone.subscribe("/user/queue/whispers", Said.class);
        await().atMost(Duration.ofSeconds(PATIENCE)).until(() -> users.getUser("bob").getSessions().size() == 2);
        alice.session.send("/app/whisper", new Whisper("bob", "hi"));
        assertThat(next(his)).isEqualTo(new Said("alice", "hi"));
        assertThat(next(phone)).isEqualTo(new Said("alice", "hi"));
      }
    }
  }

  @Test
  @Order(4)
  void theUserRegistryKnowsUsersOfBothInstances() throws Exception {
    try (Client carol = one.connect("carol"); Client dave = two.connect("dave")) {
      for (Instance instance : List.of(one, two)) {
        SimpUserRegistry users = instance.context.getBean(SimpUserRegistry.class);
        // An instance tells the others of its users every ten seconds.
        await().atMost(Duration.ofSeconds(PATIENCE)).until(() -> users.getUser("carol") != null && users.getUser("dave") != null);
      }
      BlockingQueue<List> members = new LinkedBlockingQueue<>();
      carol.session.subscribe("/app/members", carol.inboxOf(members, List.class));
      assertThat(next(members)).isEqualTo(List.of("carol", "dave"));
    }
  }

  @Test
  @Order(5)
  void heartBeatsKeepTheSystemConnection() throws Exception {
    one.availability.clear();
    try (Client alice = one.connect("alice")) {
      BlockingQueue<Said> hers = alice.subscribe("/topic/lobby", Said.class);
      Thread.sleep(6000); // six intervals without a message; either side gives up after three
      alice.session.send("/app/say", new Said(null, "still here"));
      assertThat(next(hers)).isEqualTo(new Said("alice", "still here"));
    }
    assertThat(one.availability).as("events since the connection was made").isEmpty();
    assertThat(broker.log()).doesNotContain("heart-beat-missing");
  }

  @Test
  @Order(6)
  void aBrokerThatHangsIsNoticedByItsHeartBeats() throws Exception {
    broker.signal("STOP");
    try {
      one.becomes(false);
    } finally {
      broker.signal("CONT");
    }
    one.becomes(true);
    two.becomes(true);
  }

  @Test
  @Order(7)
  void theApplicationComesBackAfterTheBroker() throws Exception {
    try (Client alice = one.connect("alice")) {
      alice.subscribe("/topic/lobby", Said.class);
      broker.kill();
      one.becomes(false);
      two.becomes(false);
      alice.ended.get(PATIENCE, TimeUnit.SECONDS);
    }
    broker.start();
    one.becomes(true);
    two.becomes(true);
    messageMappingAndSendToReachBothInstances();
    sendToUserAnswersWhoAsked();
  }
}
