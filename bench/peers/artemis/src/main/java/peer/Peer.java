package peer;

import java.nio.file.Path;
import org.apache.activemq.artemis.core.config.impl.ConfigurationImpl;
import org.apache.activemq.artemis.core.server.JournalType;
import org.apache.activemq.artemis.core.server.embedded.EmbeddedActiveMQ;
import org.apache.activemq.artemis.core.settings.impl.AddressSettings;

/** A broker on one port, which takes STOMP over WebSocket; queues are durable. */
public class Peer {
  public static void main(String[] args) throws Exception {
    Path data = Path.of(args[1]);
    ConfigurationImpl configuration = new ConfigurationImpl();
    configuration
        .setPersistenceEnabled(true)
        .setJournalType(JournalType.NIO)
        // What stompbox does by default: messages survive the process, not the machine's power.
        .setJournalDatasync(false)
        .setJournalDirectory(data.resolve("journal").toString())
        .setBindingsDirectory(data.resolve("bindings").toString())
        .setLargeMessagesDirectory(data.resolve("large").toString())
        .setPagingDirectory(data.resolve("paging").toString())
        .setSecurityEnabled(false)
        .setMaxDiskUsage(100)
        .addAcceptorConfiguration(
            "stomp",
            "tcp://127.0.0.1:" + args[0] + "?protocols=STOMP;anycastPrefix=/queue/;multicastPrefix=/topic/;heartBeatToConnectionTtlModifier=2.5");
    configuration.addAddressSetting("#", new AddressSettings().setAutoCreateQueues(true).setAutoCreateAddresses(true));
    EmbeddedActiveMQ broker = new EmbeddedActiveMQ();
    broker.setConfiguration(configuration);
    broker.start();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        broker.stop();
      } catch (Exception e) {
        e.printStackTrace();
      }
    }));
    Thread.currentThread().join();
  }
}
