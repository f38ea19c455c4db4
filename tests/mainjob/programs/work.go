// Goroutines compute, a ticker runs; the main one writes a line a step to stdout and to a file.
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

func main() {
	steps, _ := strconv.Atoi(os.Args[1])
	file, _ := os.Create("progress")
	digests := make([][32]byte, 30)
	kept := map[int][]byte{}
	ticker := time.NewTicker(time.Millisecond)
	for step := 0; step < steps; step++ {
		var group sync.WaitGroup
		for n := range digests {
			group.Add(1)
			go func(n int) {
				defer group.Done()
				for k := 0; k < 2500; k++ {
					digests[n] = sha256.Sum256(append(digests[n][:], byte(n)))
				}
			}(n)
		}
		group.Wait()
		<-ticker.C
		block := make([]byte, 0, 3000)
		for k := 0; k < 3; k++ {
			for n := range digests {
				block = append(block, digests[n][:]...)
			}
		}
		kept[step%100] = block
		line := fmt.Sprintf("%d %x %x %d\n", step, digests[0][:8], digests[29][:8], len(kept))
		os.Stdout.WriteString(line)
		file.WriteString(line)
	}
	sum := sha256.New()
	for n := 0; n < len(kept); n++ {
		sum.Write(kept[n])
	}
	fmt.Printf("%x\n", sum.Sum(nil))
	os.Exit(3)
}
