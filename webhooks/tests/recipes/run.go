package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

func bytesOf(field string) []byte {
	found, err := base64.StdEncoding.DecodeString(field)
	if err != nil {
		panic(err)
	}
	return found
}

func main() {
	names := []string{"webhook-id", "webhook-timestamp", "webhook-signature"}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		now, _ := strconv.ParseInt(fields[2], 10, 64)
		headers := map[string]string{}
		for number, field := range fields[3:] {
			if field != "-" {
				headers[names[number]] = string(bytesOf(field))
			}
		}
		header := func(name string) string { return headers[name] }
		if IsGenuine(string(bytesOf(fields[0])), header, bytesOf(fields[1]), time.Unix(now, 0)) {
			fmt.Println("yes")
		} else {
			fmt.Println("no")
		}
	}
}
