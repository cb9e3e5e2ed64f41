// Connects as a Go client does: no common name counts. Arguments: port, then pairs of host and CA file.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

func main() {
	for i := 2; i+1 < len(os.Args); i += 2 {
		pem, err := os.ReadFile(os.Args[i+1])
		if err != nil {
			panic(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		conn, err := tls.Dial("tcp", "127.0.0.1:"+os.Args[1], &tls.Config{
			ServerName: os.Args[i], RootCAs: roots, NextProtos: []string{"h2"},
		})
		if err != nil {
			fmt.Printf("%s %v\n", os.Args[i], err)
			continue
		}
		conn.Close()
		fmt.Printf("%s ok\n", os.Args[i])
	}
}
