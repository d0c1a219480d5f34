import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;

final class Run {
    static byte[] bytes(String field) {
        return Base64.getDecoder().decode(field);
    }

    public static void main(String[] arguments) throws Exception {
        String[] names = {"webhook-id", "webhook-timestamp", "webhook-signature"};
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] fields = line.split("\t", -1);
            Map<String, String> headers = new HashMap<>();
            for (int number = 0; number < names.length; number++) {
                if (!fields[number + 3].equals("-")) {
                    headers.put(names[number], new String(bytes(fields[number + 3]), UTF_8));
                }
            }
            String secret = new String(bytes(fields[0]), UTF_8);
            System.out.println(Webhooks.isGenuine(secret, headers, bytes(fields[1]), Long.parseLong(fields[2])) ? "yes" : "no");
        }
    }
}
