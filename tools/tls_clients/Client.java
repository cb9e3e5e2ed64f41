import java.io.FileInputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** Connects as a Java client does, with HTTPS endpoint identification. Arguments: port, then pairs of host and CA file. */
public final class Client {
    public static void main(String[] arguments) throws Exception {
        for (int i = 1; i + 1 < arguments.length; i += 2) {
            System.out.println(arguments[i] + " " + attempt(Integer.parseInt(arguments[0]), arguments[i], arguments[i + 1]));
        }
    }

    private static String attempt(int port, String host, String ca) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (FileInputStream file = new FileInputStream(ca)) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        InetAddress here = InetAddress.getByAddress(host, new byte[] {127, 0, 0, 1});
        try (Socket plain = new Socket(here, port);
                SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(plain, host, port, true)) {
            SSLParameters parameters = socket.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            socket.setSSLParameters(parameters);
            socket.startHandshake();
            return "ok";
        } catch (java.io.IOException error) {
            Throwable cause = error;
            StringBuilder text = new StringBuilder();
            while (cause != null) {
                text.append(cause).append(' ');
                cause = cause.getCause();
            }
            return text.toString().replace('\n', ' ');
        }
    }
}
