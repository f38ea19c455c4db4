// Twenty threads that allocate, lock, sleep and fault; garbage collection; a child; a shutdown hook.
import java.util.*;
import java.util.concurrent.*;

public class Threads {
    static int deep(int n) { return deep(n + 1) + 1; }

    public static void main(String[] arguments) throws Exception {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("shutdown hook")));
        ExecutorService pool = Executors.newFixedThreadPool(20);
        List<Future<Long>> futures = new ArrayList<>();
        Map<Integer, byte[]> kept = new ConcurrentHashMap<>();
        for (int t = 0; t < 20; t++) {
            final int seed = t;
            futures.add(pool.submit(() -> {
                long sum = 0;
                Random random = new Random(seed);
                for (int n = 0; n < 3000; n++) {
                    byte[] block = new byte[random.nextInt(20000) + 1];
                    block[block.length - 1] = (byte) n;
                    kept.put(seed * 100 + n % 50, block);
                    sum += block.length + block[block.length - 1];
                    if (n % 500 == 0) Thread.sleep(1);
                }
                return sum;
            }));
        }
        for (Future<Long> f : futures) System.out.println(f.get());
        System.gc();
        pool.shutdown();
        System.out.println(pool.awaitTermination(10, TimeUnit.SECONDS));
        int caught = 0;
        for (int n = 0; n < 1000; n++) {
            try {
                String nothing = n < 2000 ? null : "";
                caught += nothing.length();
            } catch (NullPointerException e) { caught++; }
        }
        try { deep(0); } catch (StackOverflowError e) { System.out.println("stack overflow"); }
        System.out.println(caught + " null pointers");
        Process child = new ProcessBuilder("/bin/sh", "-c", "read x; echo got $x; exit 4").start();
        child.getOutputStream().write("text\n".getBytes());
        child.getOutputStream().close();
        System.out.print(new String(child.getInputStream().readAllBytes()));
        System.out.println(child.waitFor());
        if (arguments.length > 0) {
            new ProcessBuilder("/bin/kill", "-TERM", "" + ProcessHandle.current().pid()).start();
            Thread.sleep(100000);
        }
        System.exit(6);
    }
}
