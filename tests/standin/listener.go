package main

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// Closings counts by whom connections were closed first.
type closings struct {
	byClient, byServer atomic.Int64
}

// Watched is a listener that counts the closings of its connections.
type watched struct {
	net.Listener
	closings *closings
}

func (l watched) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{Conn: conn, closings: l.closings}, nil
}

type watchedConn struct {
	net.Conn
	closings *closings
	once     sync.Once
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !os.IsTimeout(err) {
		c.once.Do(func() { c.closings.byClient.Add(1) })
	}
	return n, err
}

func (c *watchedConn) Close() error {
	c.once.Do(func() { c.closings.byServer.Add(1) })
	return c.Conn.Close()
}
