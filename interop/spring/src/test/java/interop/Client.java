package interop;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.reflect.Type;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.springframework.messaging.converter.MappingJackson2MessageConverter;
import org.springframework.messaging.simp.stomp.StompCommand;
import org.springframework.messaging.simp.stomp.StompHeaders;
import org.springframework.messaging.simp.stomp.StompSession;
import org.springframework.messaging.simp.stomp.StompSessionHandlerAdapter;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.web.socket.WebSocketHttpHeaders;
import org.springframework.web.socket.client.standard.StandardWebSocketClient;
import org.springframework.web.socket.messaging.WebSocketStompClient;

/** A client over WebSocket, as Spring has it. */
final class Client extends StompSessionHandlerAdapter implements AutoCloseable {
  static final int PATIENCE = 60; // seconds; nothing here measures time

  final CompletableFuture<Throwable> ended = new CompletableFuture<>();
  StompSession session;
  final CompletableFuture<StompHeaders> connected = new CompletableFuture<>();
  private final WebSocketStompClient client = new WebSocketStompClient(new StandardWebSocketClient());
  private final ThreadPoolTaskScheduler scheduler = new ThreadPoolTaskScheduler();

  /** Connects; a token goes into the CONNECT frame. */
  static Client connect(String url, String token) throws Exception {
    Client c = new Client();
    c.scheduler.initialize();
    c.client.setTaskScheduler(c.scheduler); // for heart-beats and receipts
    c.client.setMessageConverter(new MappingJackson2MessageConverter());
    c.client.setReceiptTimeLimit(PATIENCE * 1000L);
    StompHeaders connect = new StompHeaders();
    if (token != null) {
      connect.set("Authorization", "Bearer " + token);
    }
    try {
      c.session = c.client.connectAsync(url, new WebSocketHttpHeaders(), connect, c).get(PATIENCE, TimeUnit.SECONDS);
    } catch (Exception e) {
      c.close();
      throw e;
    }
    return c;
  }

  /** Subscribes, and returns when the broker has confirmed that. */
  <T> BlockingQueue<T> subscribe(String destination, Class<T> type) throws Exception {
    BlockingQueue<T> inbox = new LinkedBlockingQueue<>();
    CountDownLatch confirmed = new CountDownLatch(1);
    StompHeaders headers = new StompHeaders();
    headers.setDestination(destination);
    headers.setReceipt("subscribe-" + destination);
    session.subscribe(headers, inboxOf(inbox, type)).addReceiptTask(confirmed::countDown);
    assertThat(confirmed.await(PATIENCE, TimeUnit.SECONDS)).as("a receipt for " + destination).isTrue();
    return inbox;
  }

  /** Answers the requests to a destination, and acknowledges each. */
  void serve(String destination, Function<StompHeaders, Object> answer) throws Exception {
    CountDownLatch confirmed = new CountDownLatch(1);
    StompHeaders subscribe = new StompHeaders();
    subscribe.setDestination(destination);
    subscribe.setAck("client-individual");
    subscribe.setReceipt("serve-" + destination);
    session.subscribe(subscribe, new StompSessionHandlerAdapter() {
      @Override
      public void handleFrame(StompHeaders request, Object payload) {
        StompHeaders reply = new StompHeaders();
        reply.setDestination(request.getFirst("reply-to"));
        synchronized (Client.this) { // the client's connection takes one frame at a time
          session.send(reply, answer.apply(request));
          session.acknowledge(request, true);
        }
      }
    }).addReceiptTask(confirmed::countDown);
    assertThat(confirmed.await(PATIENCE, TimeUnit.SECONDS)).as("a receipt for " + destination).isTrue();
  }

  <T> StompSessionHandlerAdapter inboxOf(BlockingQueue<T> inbox, Class<T> type) {
    return new StompSessionHandlerAdapter() {
      @Override
      public Type getPayloadType(StompHeaders headers) {
        return type;
      }

      @Override
      public void handleFrame(StompHeaders headers, Object payload) {
        inbox.add(type.cast(payload));
      }
    };
  }

  static <T> T next(BlockingQueue<T> inbox) throws InterruptedException {
    T item = inbox.poll(PATIENCE, TimeUnit.SECONDS);
    assertThat(item).as("a message").isNotNull();
    return item;
  }

  @Override
  public void afterConnected(StompSession s, StompHeaders headers) {
    connected.complete(headers);
  }

  @Override
  public void handleException(StompSession s, StompCommand command, StompHeaders headers, byte[] payload, Throwable e) {
    ended.complete(e);
  }

  @Override
  public void handleTransportError(StompSession s, Throwable e) {
    ended.complete(e);
  }

  @Override
  public synchronized void close() {
    if (session != null && session.isConnected()) {
      session.disconnect();
    }
    client.stop();
    scheduler.shutdown();
  }
}
