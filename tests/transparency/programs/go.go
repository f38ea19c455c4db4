// Goroutines, timers, channels, GC pressure, a child process, signals and a loopback connection.
package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func main() {
	var group sync.WaitGroup
	results := make([]string, 50)
	for n := range results {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			sum := sha256.Sum256([]byte{byte(n)})
			for k := 0; k < 2000; k++ {
				sum = sha256.Sum256(append(sum[:], make([]byte, 500)...))
			}
			results[n] = fmt.Sprintf("%x", sum[:4])
		}(n)
	}
	ticks := 0
	ticker := time.NewTicker(2 * time.Millisecond)
	for range ticker.C {
		if ticks++; ticks == 20 {
			break
		}
	}
	group.Wait()
	fmt.Println(results)
	runtime.GC()

	signals := make(chan os.Signal, 10)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGTERM)
	for n := 0; n < 100; n++ {
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		<-signals
	}
	fmt.Println("100 signals")

	out, err := exec.Command("/bin/sh", "-c", "echo child; exit 3").Output()
	fmt.Printf("%q %v\n", out, err)
	_, err = exec.Command("/no/such").Output()
	fmt.Println(err)

	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				line, _ := bufio.NewReader(c).ReadString('\n')
				fmt.Fprintf(c, "echo %s", line)
				c.Close()
			}()
		}
	}()
	for n := 0; n < 50; n++ {
		c, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Fprintf(c, "%d\n", n)
		line, _ := bufio.NewReader(c).ReadString('\n')
		if line != fmt.Sprintf("echo %d\n", n) {
			fmt.Printf("wrong: %q\n", line)
		}
		c.Close()
	}
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		var nothing *int
		*nothing = 1
	}()
	timeout := time.After(10 * time.Millisecond)
	select {
	case <-signals:
		fmt.Println("unexpected signal")
	case <-timeout:
		fmt.Println("timeout")
	}
	os.Exit(5)
}
