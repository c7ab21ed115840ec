package example.chat;

import java.security.Principal;
import java.util.Map;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.Ordered;
import org.springframework.core.annotation.Order;
import org.springframework.http.server.ServerHttpRequest;
import org.springframework.messaging.simp.config.ChannelRegistration;
import org.springframework.messaging.simp.config.MessageBrokerRegistry;
import org.springframework.web.socket.WebSocketHandler;
import org.springframework.web.socket.config.annotation.EnableWebSocketMessageBroker;
import org.springframework.web.socket.config.annotation.StompEndpointRegistry;
import org.springframework.web.socket.config.annotation.WebSocketMessageBrokerConfigurer;
import org.springframework.web.socket.server.support.DefaultHandshakeHandler;
import org.springframework.web.util.UriComponentsBuilder;

@Configuration
@EnableWebSocketMessageBroker
@Order(Ordered.HIGHEST_PRECEDENCE + 99) // ahead of Spring Security's, which needs the user
public class WebSocketConfig implements WebSocketMessageBrokerConfigurer {
  @Value("${broker.host}") private String host;
  @Value("${broker.port}") private int port;
  @Value("${broker.login}") private String login;
  @Value("${broker.passcode}") private String passcode;
  @Value("${broker.heartbeat}") private long heartbeat;
  @Autowired private TokenInterceptor tokens;

  @Override
  public void configureMessageBroker(MessageBrokerRegistry registry) {
    // In place of registry.enableSimpleBroker("/topic", "/queue").
    registry.enableStompBrokerRelay("/topic", "/queue")
        .setRelayHost(host).setRelayPort(port)
        .setSystemLogin(login).setSystemPasscode(passcode)
        .setClientLogin(login).setClientPasscode(passcode)
        .setSystemHeartbeatSendInterval(heartbeat).setSystemHeartbeatReceiveInterval(heartbeat)
        // With more than one instance: who is connected where, and messages to users of others.
        .setUserRegistryBroadcast("/topic/spring.users")
        .setUserDestinationBroadcast("/topic/spring.unresolved");
    registry.setApplicationDestinationPrefixes("/app");
  }

  @Override
  public void configureClientInboundChannel(ChannelRegistration registration) {
    registration.interceptors(tokens);
  }

  @Override
  public void registerStompEndpoints(StompEndpointRegistry registry) {
    registry.addEndpoint("/ws").setHandshakeHandler(new UserOfTheQuery());
    registry.addEndpoint("/sockjs").setHandshakeHandler(new UserOfTheQuery()).withSockJS();
  }

  /** Takes anybody at their word who shows no token: /ws?user=alice. A real application refuses them. */
  private static class UserOfTheQuery extends DefaultHandshakeHandler {
    @Override
    protected Principal determineUser(ServerHttpRequest request, WebSocketHandler handler, Map<String, Object> attributes) {
      String user = UriComponentsBuilder.fromUri(request.getURI()).build().getQueryParams().getFirst("user");
      return user == null ? null : () -> user;
    }
  }
}
