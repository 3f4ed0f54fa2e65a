// Reads and answers the lines of cases.lua.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(words []string) string {
	webhook, err := standardwebhooks.NewWebhook(words[2])
	check(err)
	body, err := hex.DecodeString(words[len(words)-1])
	check(err)
	if words[0] == "sign" {
		seconds, err := strconv.ParseInt(words[4], 10, 64)
		check(err)
		signature, err := webhook.Sign(words[3], time.Unix(seconds, 0), body)
		check(err)
		return signature
	}
	header := http.Header{}
	header.Set("webhook-id", words[3])
	header.Set("webhook-timestamp", words[4])
	header.Set("webhook-signature", words[5])
	if webhook.Verify(body, header) != nil {
		return "refuse"
	}
	return "accept"
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		words := strings.Split(lines.Text(), "\t")
		fmt.Printf("%s\t%s\n", words[1], answer(words))
	}
	check(lines.Err())
}
