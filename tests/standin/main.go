// Command standin behaves on the wire as the proxy of Milvus 2.6 and 3.x does: its transport, not its engine.
//
// README.md lists each behaviour with its source. The first line of output is JSON with the two ports.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

// Options are the settings of milvus.yaml that matter here, and what a test needs to be certain of the moment.
type options struct {
	port       int
	management int
	idle       time.Duration // proxy.http.idleTimeout
	streams    uint          // of Go's HTTP/2 server; Milvus leaves the default
	search     time.Duration // how long a search takes at least
	together   int64         // a search is not answered before so many have been active at once
	queue      int64         // more searches than this are refused, as by a full DQL queue; 0 for no limit
	linger     time.Duration // how long a proxy that is Abnormal goes on serving
	stop       time.Duration // proxy.gracefulStopTimeout
	token      string        // user:password; empty for common.security.authorizationEnabled: false
	admin      string        // root:password; empty for common.security.adminAuthEnabled: false
	v1         bool          // proxy.http.enableV1
}

func main() {
	o := options{}
	flag.IntVar(&o.port, "port", 0, "for gRPC and REST; 0 for any")
	flag.IntVar(&o.management, "management", 0, "in Milvus 9091; 0 for any")
	flag.DurationVar(&o.idle, "idle", 300*time.Second, "after which an idle connection is closed")
	flag.UintVar(&o.streams, "streams", 250, "concurrent HTTP/2 streams of a connection")
	flag.DurationVar(&o.search, "search", 0, "that a search takes at least")
	flag.Int64Var(&o.together, "together", 0, "searches that must be active at once before one is answered")
	flag.Int64Var(&o.queue, "queue", 0, "searches at once; more are refused")
	flag.DurationVar(&o.linger, "linger", 0, "that it serves on after SIGTERM, and says that it is not ready")
	flag.DurationVar(&o.stop, "stop", 2*time.Second, "that active calls get after SIGTERM")
	flag.StringVar(&o.token, "token", "", "user:password of calls")
	flag.StringVar(&o.admin, "admin", "", "user:password of the operator's paths on the management port")
	flag.BoolVar(&o.v1, "v1", true, "whether REST has /v1/vector")
	flag.Parse()
	if err := run(o); err != nil {
		log.Fatal(err)
	}
}

func run(o options) error {
	serving, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", o.port))
	if err != nil {
		return err
	}
	managing, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", o.management))
	if err != nil {
		return err
	}
	s := &proxy{options: o, streams: map[int64]int{}}
	calls := s.grpcServer()
	rest := s.rest()
	shared := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			defer s.begin(r)()
			calls.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
	h2 := &http2.Server{MaxConcurrentStreams: uint32(o.streams), IdleTimeout: o.idle}
	server := &http.Server{
		Handler:           h2c.NewHandler(shared, h2),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       o.idle,
		MaxHeaderBytes:    16 << 20,
		ConnContext:       s.numbered,
	}
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGTERM)
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(watched{serving, &s.closings}) }()
	go func() { failed <- http.Serve(managing, s.managementPort()) }()
	ports := map[string]int{
		"port":       serving.Addr().(*net.TCPAddr).Port,
		"management": managing.Addr().(*net.TCPAddr).Port,
	}
	if err := json.NewEncoder(os.Stdout).Encode(ports); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case <-stopped:
	}
	// As Milvus: the state is Abnormal first. Shutdown knows nothing of connections with h2c, which the handler took over, so
	// they get no GOAWAY, and they end with the process.
	s.stopping.Store(true)
	time.Sleep(o.linger)
	limit, cancel := context.WithTimeout(context.Background(), o.stop)
	defer cancel()
	_ = server.Shutdown(limit)
	for s.active.Load() > 0 && limit.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}
