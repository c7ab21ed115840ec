package example.chat;

import java.security.Principal;
import java.util.List;
import org.springframework.messaging.handler.annotation.MessageExceptionHandler;
import org.springframework.messaging.handler.annotation.MessageMapping;
import org.springframework.messaging.handler.annotation.SendTo;
import org.springframework.messaging.simp.SimpMessagingTemplate;
import org.springframework.messaging.simp.annotation.SendToUser;
import org.springframework.messaging.simp.annotation.SubscribeMapping;
import org.springframework.messaging.simp.user.SimpUser;
import org.springframework.messaging.simp.user.SimpUserRegistry;
import org.springframework.stereotype.Controller;

/** What an application on enableSimpleBroker has, unchanged. */
@Controller
public class ChatController {
  public record Said(String from, String text) {}

  public record Whisper(String to, String text) {}

  private final SimpMessagingTemplate template;
  private final SimpUserRegistry users;

  public ChatController(SimpMessagingTemplate template, SimpUserRegistry users) {
    this.template = template;
    this.users = users;
  }

  @MessageMapping("/say")
  @SendTo("/topic/lobby")
  public Said say(Principal who, Said said) {
    return new Said(who.getName(), said.text());
  }

  @MessageMapping("/echo")
  @SendToUser("/queue/answers")
  public Said echo(Principal who, Said said) {
    if (said.text().isEmpty()) {
      throw new IllegalArgumentException("say something");
    }
    return new Said(who.getName(), said.text());
  }

  @MessageExceptionHandler
  @SendToUser("/queue/errors")
  public Said failed(IllegalArgumentException e) {
    return new Said("server", e.getMessage());
  }

  @MessageMapping("/whisper")
  public void whisper(Principal who, Whisper whisper) {
    template.convertAndSendToUser(whisper.to(), "/queue/whispers", new Said(who.getName(), whisper.text()));
  }

  @SubscribeMapping("/members")
  public List<String> members() {
    return users.getUsers().stream().map(SimpUser::getName).sorted().toList();
  }
}
