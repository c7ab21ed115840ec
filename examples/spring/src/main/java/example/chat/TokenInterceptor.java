package example.chat;

import java.nio.charset.StandardCharsets;
import java.security.Principal;
import javax.crypto.spec.SecretKeySpec;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.messaging.Message;
import org.springframework.messaging.MessageChannel;
import org.springframework.messaging.simp.stomp.StompCommand;
import org.springframework.messaging.simp.stomp.StompHeaderAccessor;
import org.springframework.messaging.support.ChannelInterceptor;
import org.springframework.messaging.support.MessageHeaderAccessor;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtException;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.stereotype.Component;

/**
 * Takes the user from the token in CONNECT, as the reference documentation of Spring has it
 * ("Token Authentication" of STOMP). The token is this application's own: the relay forwards the
 * header with its login and passcode, and stompbox goes by those.
 */
@Component
public class TokenInterceptor implements ChannelInterceptor {
  private static final String SCHEME = "Bearer ";

  private final JwtDecoder tokens;

  public TokenInterceptor(@Value("${jwt.secret}") String secret) {
    byte[] key = secret.getBytes(StandardCharsets.UTF_8);
    tokens = NimbusJwtDecoder.withSecretKey(new SecretKeySpec(key, "HmacSHA256")).build();
  }

  @Override
  public Message<?> preSend(Message<?> message, MessageChannel channel) {
    StompHeaderAccessor headers = MessageHeaderAccessor.getAccessor(message, StompHeaderAccessor.class);
    if (headers == null || headers.getCommand() != StompCommand.CONNECT) {
      return message;
    }
    String shown = headers.getFirstNativeHeader("Authorization");
    if (shown != null) {
      headers.setUser(userOf(shown));
    } // else the handshake may have said who it is
    return message;
  }

  private Principal userOf(String authorization) {
    if (!authorization.startsWith(SCHEME)) {
      throw new JwtException("Authorization is not a bearer token");
    }
    Jwt token = tokens.decode(authorization.substring(SCHEME.length()));
    if (token.getSubject() == null) {
      throw new JwtException("the token has no subject");
    }
    return token::getSubject;
  }
}
