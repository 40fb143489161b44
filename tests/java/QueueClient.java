// A client of the queue in another language, with nothing but the JDK: finds it
// in etcd over TLS, puts samples as JSON, takes them as protobuf.
//
//   java QueueClient.java ETCD_URL PKI_FOLDER TOKEN_FILE COUNT
//
// Prints what it did, one "name value" a line; ends with 1 when something is wrong.
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class QueueClient {
    private static final String SERVICE = "demonstrator.v1.Queue";
    private static final HttpClient plain = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    public static void main(String[] args) throws Exception {
        Path pki = Path.of(args[1]);
        String token = Files.readString(Path.of(args[2])).strip();
        int count = Integer.parseInt(args[3]);
        HttpClient etcd = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).sslContext(tls(pki)).build();
        String url = discover(etcd, args[0], login(etcd, args[0], pki));
        System.out.println("url " + url);

        Object refused = Json.parse(text(call(url, "Status", "application/json", "{}".getBytes(), "wrong", 401)));
        System.out.println("without_token " + Json.get(refused, "code"));
        Object invalid = Json.parse(text(call(url, "Take", "application/json", "{\"maximum\":\"x\"}".getBytes(), token, 400)));
        System.out.println("invalid " + Json.get(invalid, "message"));

        put(url, token, count);
        long size = Long.parseLong((String) Json.get(status(url, token), "size"));
        System.out.println("size " + size);
        take(url, token, count);
        System.out.println("left " + Json.get(status(url, token), "size"));
    }

    // -- finding it --------------------------------------------------------------

    private static SSLContext tls(Path pki) throws Exception {
        CertificateFactory certificates = CertificateFactory.getInstance("X.509");
        KeyStore trusted = KeyStore.getInstance("PKCS12"), own = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("ca", certificates.generateCertificate(Files.newInputStream(pki.resolve("ca.pem"))));
        own.load(null, null);
        Certificate certificate = certificates.generateCertificate(Files.newInputStream(pki.resolve("client.pem")));
        PKCS8EncodedKeySpec key = new PKCS8EncodedKeySpec(pkcs8(Files.readString(pki.resolve("client-key.pem"))));
        own.setKeyEntry("client", KeyFactory.getInstance("EC").generatePrivate(key), new char[0], new Certificate[] {certificate});
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(own, new char[0]);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    // Java reads PKCS#8 only: a key as RFC 5915 has it is wrapped (P-256).
    private static byte[] pkcs8(String pem) {
        byte[] der = Base64.getMimeDecoder().decode(pem.replaceAll("(?s).*-----BEGIN [A-Z ]*KEY-----|-----END.*", ""));
        if (!pem.contains("BEGIN EC PRIVATE KEY")) {
            return der;
        }
        byte[] head = {2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, (byte) 0x86, 0x48, (byte) 0xce, 0x3d, 2, 1,
                       6, 8, 0x2a, (byte) 0x86, 0x48, (byte) 0xce, 0x3d, 3, 1, 7, 4, (byte) der.length};
        int length = head.length + der.length;
        ByteBuffer wrapped = ByteBuffer.allocate(length + 3).put((byte) 0x30).put((byte) 0x81).put((byte) length);
        return wrapped.put(head).put(der).array();
    }

    // etcd gives a token for the account of agents.
    private static String login(HttpClient etcd, String url, Path pki) throws Exception {
        String[] account = Files.readString(pki.resolve("client.account")).strip().split(":", 2);
        String body = "{\"name\":\"" + account[0] + "\",\"password\":\"" + account[1] + "\"}";
        HttpRequest request = HttpRequest.newBuilder(URI.create(url + "/v3/auth/authenticate")).POST(BodyPublishers.ofString(body)).build();
        return (String) Json.get(Json.parse(etcd.send(request, BodyHandlers.ofString()).body()), "token");
    }

    // Joins the queue's endpoint with the wire that it is offered over.
    private static String discover(HttpClient etcd, String url, String login) throws Exception {
        Map<String, Object> wires = records(etcd, url, login, "/inaetics/wiring/zone1/");
        for (Map.Entry<String, Object> endpoint : records(etcd, url, login, "/inaetics/discovery/").entrySet()) {
            if (SERVICE.equals(Json.get(endpoint.getValue(), "contract"))) {
                String agent = endpoint.getKey().split("/")[3];
                String key = "/inaetics/wiring/zone1/" + agent + "/" + Json.get(endpoint.getValue(), "wire");
                return (String) Json.get(wires.get(key), "url");
            }
        }
        throw new IllegalStateException("nobody offers " + SERVICE);
    }

    private static Map<String, Object> records(HttpClient etcd, String url, String login, String prefix) throws Exception {
        Base64.Encoder base64 = Base64.getEncoder();
        String end = prefix.substring(0, prefix.length() - 1) + "0"; // '/' + 1
        String body = "{\"key\":\"" + base64.encodeToString(prefix.getBytes()) + "\",\"range_end\":\""
                + base64.encodeToString(end.getBytes()) + "\"}";
        HttpRequest request = HttpRequest.newBuilder(URI.create(url + "/v3/kv/range")).header("Authorization", login)
                .POST(BodyPublishers.ofString(body)).build();
        Object answer = Json.parse(etcd.send(request, BodyHandlers.ofString()).body());
        Map<String, Object> found = new TreeMap<>();
        for (Object kv : (List<?>) ((Map<?, ?>) answer).getOrDefault("kvs", null)) {
            found.put(decode(Json.get(kv, "key")), Json.parse(decode(Json.get(kv, "value"))));
        }
        return found;
    }

    private static String decode(Object base64) {
        return new String(Base64.getDecoder().decode((String) base64), StandardCharsets.UTF_8);
    }

    // -- calling it --------------------------------------------------------------

    private static byte[] call(String url, String method, String type, byte[] body, String token, int expected) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url + "/" + SERVICE + "/" + method))
                .timeout(Duration.ofSeconds(20)).header("Content-Type", type).header("Connect-Protocol-Version", "1")
                .header("Connect-Timeout-Ms", "15000").header("Authorization", "Bearer " + token)
                .POST(BodyPublishers.ofByteArray(body)).build();
        HttpResponse<byte[]> response = plain.send(request, BodyHandlers.ofByteArray());
        if (response.statusCode() != expected) {
            throw new IllegalStateException(method + ": " + response.statusCode() + " " + text(response.body()));
        }
        return response.body();
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static Object status(String url, String token) throws Exception {
        return Json.parse(text(call(url, "Status", "application/json", "{}".getBytes(), token, 200)));
    }

    private static void put(String url, String token, int count) throws Exception {
        List<String> times = new ArrayList<>(), first = new ArrayList<>(), second = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            times.add("\"" + (1700000000000000L + i) + "\"");
            first.add(String.valueOf(i + 0.5));
            second.add(String.valueOf(-i));
        }
        String body = "{\"batches\":[{\"producer\":\"java-0.0123456789abcdef\",\"firstSequence\":\"0\",\"timeUs\":" + times
                + ",\"value1\":" + first + ",\"value2\":" + second + "}]}";
        Object reply = Json.parse(text(call(url, "Put", "application/json", body.getBytes(), token, 200)));
        System.out.println("accepted " + Json.get(reply, "accepted"));
    }

    // TakeRequest: minimum = 1, maximum = 2, wait_ms = 3, lease_ms = 4.
    private static void take(String url, String token, int count) throws Exception {
        ByteArrayOutputStream request = new ByteArrayOutputStream();
        int[] fields = {count, count, 5000, 10000};
        for (int i = 0; i < fields.length; i++) {
            varint(request, (i + 1) << 3);
            varint(request, fields[i]);
        }
        ByteBuffer reply = ByteBuffer.wrap(call(url, "Take", "application/proto", request.toByteArray(), token, 200));
        String lease = "";
        double sum = 0;
        int taken = 0;
        while (reply.hasRemaining()) { // lease = 1, batches = 2
            long tag = varint(reply);
            ByteBuffer content = slice(reply);
            if (tag >> 3 == 1) {
                lease = StandardCharsets.UTF_8.decode(content).toString();
                continue;
            }
            while (content.hasRemaining()) { // producer = 1, first_sequence = 2, time_us = 3, value1 = 4, value2 = 5
                long field = varint(content);
                if ((field & 7) == 0) {
                    varint(content);
                    continue;
                }
                ByteBuffer column = slice(content);
                for (; field >> 3 >= 4 && column.hasRemaining(); taken += field >> 3 == 4 ? 1 : 0) {
                    sum += column.getDouble();
                }
            }
        }
        System.out.println("taken " + taken);
        System.out.println("sum " + sum);
        String acknowledge = "{\"leases\":[\"" + lease + "\"]}";
        System.out.println("acknowledged " + text(call(url, "Acknowledge", "application/json", acknowledge.getBytes(), token, 200)));
    }

    private static void varint(ByteArrayOutputStream out, long value) {
        for (; value > 127; value >>>= 7) {
            out.write((int) (value & 127 | 128));
        }
        out.write((int) value);
    }

    private static long varint(ByteBuffer in) {
        long value = 0;
        for (int shift = 0;; shift += 7) {
            byte next = in.get();
            value |= (long) (next & 127) << shift;
            if (next >= 0) {
                return value;
            }
        }
    }

    private static ByteBuffer slice(ByteBuffer in) {
        int length = (int) varint(in);
        ByteBuffer part = in.slice(in.position(), length).order(ByteOrder.LITTLE_ENDIAN);
        in.position(in.position() + length);
        return part;
    }

    // -- JSON: maps, lists, strings; other values as their text --------------------

    private static final class Json {
        private final String text;
        private int at;

        private Json(String text) {
            this.text = text;
        }

        static Object parse(String text) {
            return new Json(text).value();
        }

        static Object get(Object object, String name) {
            return ((Map<?, ?>) object).get(name) == null ? "0" : ((Map<?, ?>) object).get(name); // proto3 leaves zeros out
        }

        private char next() {
            while (Character.isWhitespace(text.charAt(at))) {
                at++;
            }
            return text.charAt(at);
        }

        private Object value() {
            char c = next();
            if (c == '{' || c == '[') {
                return c == '{' ? map() : list();
            }
            if (c == '"') {
                return string();
            }
            int from = at;
            while (at < text.length() && ",]} \n".indexOf(text.charAt(at)) < 0) {
                at++;
            }
            return text.substring(from, at);
        }

        private Map<String, Object> map() {
            Map<String, Object> map = new TreeMap<>();
            for (at++; next() != '}';) {
                String key = string();
                next();
                at++; // ':'
                map.put(key, value());
                at += next() == ',' ? 1 : 0;
            }
            at++;
            return map;
        }

        private List<Object> list() {
            List<Object> list = new ArrayList<>();
            for (at++; next() != ']'; at += next() == ',' ? 1 : 0) {
                list.add(value());
            }
            at++;
            return list;
        }

        private String string() {
            StringBuilder out = new StringBuilder();
            next();
            for (at++; text.charAt(at) != '"'; at++) {
                if (text.charAt(at) == '\\') {
                    at++;
                }
                out.append(text.charAt(at));
            }
            at++;
            return out.toString();
        }
    }
}
