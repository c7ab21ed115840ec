package interop;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.BinaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The Java of docs/, as it stands there. */
class DocumentsTest {
  @TempDir Path folder;

  @Test
  void aTokenOfTheDocumentsLetsAUserIn() throws Exception {
    try (Broker broker = new Broker()) {
      String token = signer().apply(Broker.SECRET, "alice");
      assertThat(send(broker, token, "/topic/chat.lobby")).isEqualTo(200);
      assertThat(send(broker, token, "/topic/other")).isEqualTo(403);
    }
  }

  @Test
  void theConfigurationOfTheQuickStartCompiles() throws Exception {
    compile("Relay", """
        import org.springframework.messaging.simp.config.MessageBrokerRegistry;
        import org.springframework.web.socket.config.annotation.WebSocketMessageBrokerConfigurer;

        public class Relay implements WebSocketMessageBrokerConfigurer {
          @Override
        """ + block("quickstart-spring.md") + """
        }
        """);
  }

  @Test
  void theClientOfAnAppServerCompiles() throws Exception {
    compile("AppServer", """
        import org.springframework.messaging.simp.stomp.StompHeaders;
        import org.springframework.messaging.simp.stomp.StompSessionHandler;
        import org.springframework.web.socket.WebSocketHttpHeaders;
        import org.springframework.web.socket.messaging.WebSocketStompClient;

        public class AppServer {
          void connect(WebSocketStompClient client, String token, StompSessionHandler handler) {
        """ + block("app-servers.md") + """
          }
        }
        """);
  }

  /** The only block of Java in a document. */
  private static String block(String document) throws Exception {
    Matcher block = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL).matcher(Files.readString(Path.of("../../docs", document)));
    assertThat(block.find()).as(document).isTrue();
    String text = block.group(1);
    assertThat(block.find()).as(document + " has another block").isFalse();
    return text;
  }

  /** Compiles the block of the document to a function of a secret and a user. */
  private BinaryOperator<String> signer() throws Exception {
    compile("Signer", """
        import io.jsonwebtoken.Jwts;
        import io.jsonwebtoken.security.Keys;
        import java.nio.charset.StandardCharsets;
        import java.time.Instant;
        import java.util.Date;
        import java.util.List;
        import java.util.Map;

        public class Signer implements java.util.function.BinaryOperator<String> {
          @Override public String apply(String secret, String user) {
        """ + block("tokens.md") + """
            return token;
          }
        }
        """);
    URLClassLoader loader = new URLClassLoader(new URL[] {folder.toUri().toURL()}, getClass().getClassLoader());
    @SuppressWarnings("unchecked")
    BinaryOperator<String> signer = (BinaryOperator<String>) loader.loadClass("Signer").getConstructor().newInstance();
    return signer;
  }

  private void compile(String name, String text) throws Exception {
    Path source = folder.resolve(name + ".java");
    Files.writeString(source, text);
    String classes = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    ByteArrayOutputStream said = new ByteArrayOutputStream();
    int result = ToolProvider.getSystemJavaCompiler().run(null, said, said, "-cp", classes, "-d", folder.toString(), source.toString());
    assertThat(result).as(said.toString()).isZero();
  }

  private static int send(Broker broker, String token, String destination) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + broker.http + "/api/send"))
        .header("Authorization", "Bearer " + token).header("Content-Type", "application/json")
        .POST(HttpRequest.BodyPublishers.ofString("{\"destination\": \"" + destination + "\", \"body\": \"hello\"}")).build();
    return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
  }
}
