import com.standardwebhooks.Webhook;
import com.standardwebhooks.exceptions.WebhookVerificationException;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/** Reads and answers the lines of cases.lua. */
public class Interop {
  static String answer(String[] words) throws Exception {
    Webhook webhook = new Webhook(words[2]);
    String body =
        new String(HexFormat.of().parseHex(words[words.length - 1]), StandardCharsets.UTF_8);
    if (words[0].equals("sign")) return webhook.sign(words[3], Long.parseLong(words[4]), body);
    try {
      webhook.verify(
          body,
          Map.of(
              "webhook-id", List.of(words[3]),
              "webhook-timestamp", List.of(words[4]),
              "webhook-signature", List.of(words[5])));
      return "accept";
    } catch (WebhookVerificationException e) {
      return "refuse";
    }
  }

  public static void main(String[] args) throws Exception {
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = lines.readLine()) != null; ) {
      String[] words = line.split("\t");
      out.println(words[1] + "\t" + answer(words));
    }
    out.flush();
  }
}
