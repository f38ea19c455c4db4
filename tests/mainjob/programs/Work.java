// Twenty threads compute and allocate; the main one writes a line a step to stdout and to a file.
import java.io.*;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;

public class Work {
    public static void main(String[] arguments) throws Exception {
        final int steps = Integer.parseInt(arguments[0]), count = 20;
        final byte[][] digests = new byte[count][];
        for (int n = 0; n < count; n++) digests[n] = ("" + n).getBytes();
        ExecutorService pool = Executors.newFixedThreadPool(count);
        List<byte[]> kept = new ArrayList<>();
        try (PrintStream file = new PrintStream(new FileOutputStream("progress"), true)) {
            for (int step = 0; step < steps; step++) {
                List<Future<byte[]>> results = new ArrayList<>();
                for (int n = 0; n < count; n++) {
                    final int index = n;
                    results.add(pool.submit(() -> {
                        MessageDigest sha = MessageDigest.getInstance("SHA-256");
                        byte[] digest = digests[index];
                        for (int k = 0; k < 6000; k++) digest = sha.digest(digest);
                        return digest;
                    }));
                }
                StringBuilder line = new StringBuilder().append(step);
                for (int n = 0; n < count; n++) {
                    digests[n] = results.get(n).get();
                    byte[] block = new byte[20000];
                    System.arraycopy(digests[n], 0, block, 0, 32);
                    kept.add(block);
                    if (kept.size() > 500) kept.remove(0);
                    line.append(String.format(" %02x%02x", digests[n][0], digests[n][1]));
                }
                System.out.println(line);
                file.println(line);
            }
        }
        pool.shutdown();
        MessageDigest all = MessageDigest.getInstance("SHA-256");
        for (byte[] block : kept) all.update(block);
        System.out.println(new java.math.BigInteger(1, all.digest()).toString(16));
        System.exit(3);
    }
}
