import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * Starts one Elasticsearch node for tests: EsNode HOME DIR HTTP_PORT [KEY=VALUE...].
 *
 * It goes past the bootstrap of the distribution: the checks there refuse root and ask for kernel settings, and
 * the launcher scripts are not among the jars. The node listens on 127.0.0.1 only, has no security, and keeps
 * its data and logs in DIR. HOME holds modules/transport-netty4; nothing is written there. Each KEY=VALUE is a setting as
 * in elasticsearch.yml.
 */
public class EsNode {
  public static void main(String[] a) throws Exception {
    LogConfigurator.configureESLogging();
    Settings.Builder settings =
        Settings.builder()
            .put("path.home", a[0])
            .put("path.data", a[1] + "/data")
            .put("path.logs", a[1] + "/logs")
            .put("cluster.name", "testenv")
            .put("node.name", "n1")
            .put("http.port", a[2])
            .put("transport.port", "0")
            .put("network.host", "127.0.0.1")
            .put("discovery.type", "single-node")
            .put("http.type", "netty4")
            .put("transport.type", "netty4")
            // Tests remove their indices by prefix.
            .put("action.destructive_requires_name", false)
            // A full disk of the machine must not turn the indices of a test read-only.
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
    for (int i = 3; i < a.length; i++) {
      String[] setting = a[i].split("=", 2);
      settings.put(setting[0], setting[1]);
    }
    Environment env = new Environment(settings.build(), Path.of(a[1], "config"));
    PluginsLoader loader =
        PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(Path.of(a[0], "modules")), Set.of(), Map.of(), false);
    new Node(env, loader).start();
    new CountDownLatch(1).await();
  }
}
