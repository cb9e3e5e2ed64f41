package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

type connection struct{}

// Proxy is the state of the stand-in, and what it has seen.
type proxy struct {
	options
	stopping    atomic.Bool
	active      atomic.Int64 // gRPC calls
	searches    atomic.Int64
	mostAtOnce  atomic.Int64 // searches
	connections atomic.Int64
	writes      atomic.Int64
	refused     atomic.Int64
	restCalls   atomic.Int64 // with and without credentials
	closings    closings

	mutex       sync.Mutex
	streams     map[int64]int // of each connection, now
	mostStreams int           // of one connection
}

func (s *proxy) numbered(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connection{}, s.connections.Add(1))
}

// Begin counts a gRPC call; the function that it returns ends it.
func (s *proxy) begin(r *http.Request) func() {
	number, _ := r.Context().Value(connection{}).(int64)
	s.active.Add(1)
	s.mutex.Lock()
	s.streams[number]++
	s.mostStreams = max(s.mostStreams, s.streams[number])
	s.mutex.Unlock()
	return func() {
		s.active.Add(-1)
		s.mutex.Lock()
		s.streams[number]--
		s.mutex.Unlock()
	}
}

// Admit says whether the queue has room for a search; done must follow if it has.
func (s *proxy) admit() bool {
	now := s.searches.Add(1)
	if s.queue > 0 && now > s.queue {
		s.searches.Add(-1)
		s.refused.Add(1)
		return false
	}
	for most := s.mostAtOnce.Load(); now > most && !s.mostAtOnce.CompareAndSwap(most, now); {
		most = s.mostAtOnce.Load()
	}
	return true
}

func (s *proxy) done() { s.searches.Add(-1) }

// Work is a search: it takes its time, and waits for the others if it has to.
func (s *proxy) work(ctx context.Context) {
	select {
	case <-time.After(s.search):
	case <-ctx.Done():
	}
	for s.mostAtOnce.Load() < s.together && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
}
