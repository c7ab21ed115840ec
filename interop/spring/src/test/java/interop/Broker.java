package interop;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/** A real stompbox in a process of its own, on ports that it keeps when it restarts. */
final class Broker implements AutoCloseable {
  private static final Path BINARY = Path.of("../../bin/stompbox").toAbsolutePath().normalize();

  /** That of the login spring. */
  static final String PASSCODE = "a passcode of tests";

  /** What this broker has tokens signed with. */
  static final String SECRET = "a secret that this broker knows, of tests";

  final int http = freePort();
  final int stomp = freePort();
  private final Path dir;
  private final Path log;
  private final String[] environment;
  private Process process;

  /** Starts one, with variables that change its defaults: names and values in turn. */
  Broker(String... environment) throws Exception {
    this.environment = environment;
    dir = Files.createTempDirectory("stompbox-interop-");
    log = dir.resolve("log");
    // The login that docs/app-servers.md has an application use.
    Files.writeString(dir.resolve("stompbox.yaml"), """
        auth:
          jwt: { secret: "%s" }
          logins:
            - login: spring
              relay: true
              passcode_hash: "%s"
              permissions: { send: ["/topic/**", "/queue/**"], subscribe: ["/topic/**", "/queue/**"] }
        """.formatted(SECRET, hash(PASSCODE)));
    start();
  }

  private static String hash(String passcode) throws Exception {
    Process p = new ProcessBuilder(BINARY.toString(), "config", "hash").start();
    try (var in = p.getOutputStream()) {
      in.write(passcode.getBytes(StandardCharsets.UTF_8));
    }
    return new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8).trim();
  }

  void start() throws Exception {
    ProcessBuilder serve = new ProcessBuilder(BINARY.toString(), "serve", "--dev", "--http", "127.0.0.1:" + http,
        "--stomp", "127.0.0.1:" + stomp, "--data-dir", dir.resolve("data").toString(), "-c", dir.resolve("stompbox.yaml").toString());
    for (int i = 0; i < environment.length; i += 2) {
      serve.environment().put(environment[i], environment[i + 1]);
    }
    process = serve.redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile())).start();
    for (int i = 0; i < 300; i++) {
      try {
        if (get("/readyz").statusCode() == 200) {
          return;
        }
      } catch (IOException e) {
        Thread.sleep(50);
      }
    }
    throw new IllegalStateException("the broker did not start: " + Files.readString(log));
  }

  /** Ends it as a crash would. */
  void kill() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }

  /** Stops and continues it, as when its machine hangs. */
  void signal(String name) throws Exception {
    new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).start().waitFor();
  }

  HttpResponse<String> get(String path) throws IOException, InterruptedException {
    URI uri = URI.create("http://127.0.0.1:" + http + path);
    return HttpClient.newHttpClient().send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString());
  }

  /** A token that may do all. */
  String token(String user) throws Exception {
    return get("/dev/token?user=" + user).body();
  }

  /** A token that may do what the flags of `stompbox token` say. */
  String token(String user, String... flags) throws Exception {
    List<String> command = new ArrayList<>(List.of(BINARY.toString(), "token", "--user", user));
    command.addAll(List.of(flags));
    Process p = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
    return new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8).trim();
  }

  String log() throws IOException {
    return Files.readString(log);
  }

  @Override
  public void close() throws Exception {
    process.destroy();
    if (!process.waitFor(30, TimeUnit.SECONDS)) {
      process.destroyForcibly().waitFor();
    }
  }

  /** Below those that the system gives to outgoing connections, so that it stays free. */
  static int freePort() {
    for (;;) {
      int port = 10000 + new Random().nextInt(10000);
      try (ServerSocket s = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
        return s.getLocalPort();
      } catch (IOException taken) {
        // another one
      }
    }
  }
}
