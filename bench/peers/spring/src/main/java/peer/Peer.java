package peer;

import java.security.Principal;
import javax.crypto.spec.SecretKeySpec;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.messaging.Message;
import org.springframework.messaging.MessageChannel;
import org.springframework.messaging.simp.config.ChannelRegistration;
import org.springframework.messaging.simp.config.MessageBrokerRegistry;
import org.springframework.messaging.simp.stomp.StompCommand;
import org.springframework.messaging.simp.stomp.StompHeaderAccessor;
import org.springframework.messaging.support.ChannelInterceptor;
import org.springframework.messaging.support.MessageHeaderAccessor;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.web.socket.config.annotation.EnableWebSocketMessageBroker;
import org.springframework.web.socket.config.annotation.StompEndpointRegistry;
import org.springframework.web.socket.config.annotation.WebSocketMessageBrokerConfigurer;
import org.springframework.web.socket.config.annotation.WebSocketTransportRegistration;

/** The simple broker on /ws, with tokens in CONNECT as the reference documentation shows. */
@SpringBootApplication
public class Peer {
  public static void main(String[] args) {
    SpringApplication.run(Peer.class, args);
  }

  @Configuration
  @EnableWebSocketMessageBroker
  static class Broker implements WebSocketMessageBrokerConfigurer {
    private final JwtDecoder tokens =
        NimbusJwtDecoder.withSecretKey(new SecretKeySpec(System.getenv("PEER_SECRET").getBytes(), "HmacSHA256")).build();

    @Bean
    ThreadPoolTaskScheduler beats() {
      ThreadPoolTaskScheduler scheduler = new ThreadPoolTaskScheduler();
      scheduler.setThreadNamePrefix("beats-");
      return scheduler;
    }

    @Override
    public void configureMessageBroker(MessageBrokerRegistry registry) {
      registry.enableSimpleBroker("/topic").setHeartbeatValue(new long[] {10000, 10000}).setTaskScheduler(beats());
      // Without it messages to one client may overtake each other.
      registry.setPreservePublishOrder(Boolean.parseBoolean(System.getenv().getOrDefault("PEER_ORDER", "true")));
    }

    @Override
    public void registerStompEndpoints(StompEndpointRegistry registry) {
      registry.addEndpoint("/ws").setAllowedOriginPatterns("*");
    }

    @Override
    public void configureWebSocketTransport(WebSocketTransportRegistration registration) {
      registration.setSendBufferSizeLimit(8 << 20).setSendTimeLimit(20_000);
    }

    @Override
    public void configureClientInboundChannel(ChannelRegistration registration) {
      registration.interceptors(
          new ChannelInterceptor() {
            @Override
            public Message<?> preSend(Message<?> message, MessageChannel channel) {
              StompHeaderAccessor headers = MessageHeaderAccessor.getAccessor(message, StompHeaderAccessor.class);
              if (headers != null && StompCommand.CONNECT.equals(headers.getCommand())) {
                String user = tokens.decode(headers.getFirstNativeHeader("Authorization").substring("Bearer ".length())).getSubject();
                headers.setUser((Principal) () -> user);
              }
              return message;
            }
          });
    }
  }
}
