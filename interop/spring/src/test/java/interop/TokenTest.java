package interop;

import static interop.Client.PATIENCE;
import static interop.Client.next;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.nimbusds.jose.jwk.source.ImmutableSecret;
import example.chat.ChatApplication;
import example.chat.ChatController.Said;
import example.chat.ChatController.Whisper;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.crypto.spec.SecretKeySpec;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.boot.web.servlet.context.ServletWebServerApplicationContext;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.messaging.simp.stomp.StompBrokerRelayMessageHandler;
import org.springframework.messaging.simp.stomp.StompSession;
import org.springframework.security.oauth2.jose.jws.MacAlgorithm;
import org.springframework.security.oauth2.jwt.JwsHeader;
import org.springframework.security.oauth2.jwt.JwtClaimsSet;
import org.springframework.security.oauth2.jwt.JwtEncoderParameters;
import org.springframework.security.oauth2.jwt.NimbusJwtEncoder;

/** The interceptor of the application, whose frontends show a token in CONNECT, which the relay sends on. */
class TokenTest {
  private static final String OWN = "a secret of this application alone, of tests";

  private static Broker broker;
  private static ConfigurableApplicationContext own; // with tokens that the broker does not know
  private static ConfigurableApplicationContext shared; // with tokens that it knows, too

  @BeforeAll
  static void start() throws Exception {
    broker = new Broker();
    own = application(OWN);
    shared = application(Broker.SECRET);
  }

  @AfterAll
  static void stop() throws Exception {
    own.close();
    shared.close();
    broker.close();
  }

  private static ConfigurableApplicationContext application(String secret) {
    ConfigurableApplicationContext context = new SpringApplicationBuilder(ChatApplication.class)
        .run("--server.port=0", "--broker.port=" + broker.stomp, "--broker.login=spring", "--broker.passcode=" + Broker.PASSCODE,
            "--jwt.secret=" + secret, "--spring.main.banner-mode=off", "--logging.level.root=error");
    Awaitility.await().atMost(Duration.ofSeconds(PATIENCE))
        .until(() -> context.getBean(StompBrokerRelayMessageHandler.class).isBrokerAvailable());
    return context;
  }

  private static Client connect(ConfigurableApplicationContext context, String query, String token) throws Exception {
    int port = ((ServletWebServerApplicationContext) context).getWebServer().getPort();
    return Client.connect("ws://127.0.0.1:" + port + "/ws" + query, token);
  }

  private static String token(String secret, String user) {
    SecretKeySpec key = new SecretKeySpec(secret.getBytes(StandardCharsets.UTF_8), "HmacSHA256");
    JwtClaimsSet claims = JwtClaimsSet.builder().subject(user).expiresAt(Instant.now().plusSeconds(600)).build();
    return new NimbusJwtEncoder(new ImmutableSecret<>(key))
        .encode(JwtEncoderParameters.from(JwsHeader.with(MacAlgorithm.HS256).build(), claims)).getTokenValue();
  }

  @Test
  void aTokenOfTheApplicationAloneLetsAFrontendIn() throws Exception {
    chat(own, OWN);
  }

  @Test
  void aTokenThatTheBrokerKnowsTooIsTheApplicationsAllTheSame() throws Exception {
    chat(shared, Broker.SECRET);
  }

  /** The broker goes by the login of the application: a token of alice may not do this there. */
  private void chat(ConfigurableApplicationContext application, String secret) throws Exception {
    try (Client alice = connect(application, "", token(secret, "alice")); Client bob = connect(application, "?user=mallory", token(secret, "b.o@b"))) {
      assertThat(alice.connected.get(PATIENCE, TimeUnit.SECONDS).getFirst("user-name")).isEqualTo("alice");
      BlockingQueue<Said> lobby = bob.subscribe("/topic/lobby", Said.class);
      BlockingQueue<Said> whispers = bob.subscribe("/user/queue/whispers", Said.class);
      BlockingQueue<Said> answers = alice.subscribe("/user/queue/answers", Said.class);
      alice.session.send("/app/say", new Said("forged", "hello"));
      assertThat(next(lobby)).isEqualTo(new Said("alice", "hello"));
      alice.session.send("/app/echo", new Said(null, "anybody?"));
      assertThat(next(answers)).isEqualTo(new Said("alice", "anybody?"));
      alice.session.send("/app/whisper", new Whisper("b.o@b", "for you"));
      assertThat(next(whispers)).isEqualTo(new Said("alice", "for you"));
    }
  }

  @Test
  void aTokenThatIsWrongLetsNobodyIn() {
    for (String wrong : List.of(token("a secret of somebody else, of tests, long", "alice"), "no.token.at-all")) {
      assertThatThrownBy(() -> connect(own, "?user=alice", wrong)).hasMessageContaining("closed");
    }
  }

  @Test
  void anAnonymousFrontendIsNotTheApplication() throws Exception {
    try (Client nobody = connect(own, "", null)) {
      assertThat(nobody.connected.get(PATIENCE, TimeUnit.SECONDS).getFirst("user-name")).isNull();
      nobody.subscribe("/topic/lobby", Said.class);
    }
  }

  /** The application keeps the SUBSCRIBE to itself, and sends the UNSUBSCRIBE on. */
  @Test
  void unsubscribingFromWhatTheApplicationAnsweredIsHarmless() throws Exception {
    try (Client alice = connect(own, "", token(OWN, "alice"))) {
      BlockingQueue<List> members = new LinkedBlockingQueue<>();
      StompSession.Subscription subscription = alice.session.subscribe("/app/members", alice.inboxOf(members, List.class));
      assertThat(next(members)).contains("alice");
      subscription.unsubscribe();
      BlockingQueue<Said> lobby = alice.subscribe("/topic/lobby", Said.class);
      alice.session.send("/app/say", new Said(null, "still here"));
      assertThat(next(lobby)).isEqualTo(new Said("alice", "still here"));
      assertThat(alice.ended).isNotDone();
    }
  }
}
