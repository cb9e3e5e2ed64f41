package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// In-band codes of pkg/util/merr/errors.go.
const (
	notReady        = 1
	tooManyRequests = 4
)

type message []byte

// Raw leaves messages as they are.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.(message))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*message) = data.Materialize()
	return nil
}

var _ encoding.CodecV2 = raw{}

func (s *proxy) grpcServer() *grpc.Server {
	return grpc.NewServer(
		grpc.ForceServerCodecV2(raw{}),
		grpc.MaxRecvMsgSize(64<<20),
		grpc.MaxSendMsgSize(256<<20),
		// Unary calls and streams alike.
		grpc.StreamInterceptor(s.authenticated),
		grpc.UnknownServiceHandler(s.call),
	)
}

func (s *proxy) authenticated(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if s.token == "" || s.hasToken(stream.Context()) {
		return handler(srv, stream)
	}
	return status.Error(codes.Unauthenticated, "auth check failure, please check username and password are correct")
}

func (s *proxy) hasToken(ctx context.Context) bool {
	found := metadata.ValueFromIncomingContext(ctx, "authorization")
	return len(found) > 0 && found[0] == base64.StdEncoding.EncodeToString([]byte(s.token))
}

func (s *proxy) call(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	method := path[strings.LastIndex(path, "/")+1:]
	if strings.HasSuffix(method, "Stream") { // CreateReplicateStream, and names that no Milvus has
		return echo(stream)
	}
	var request message
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(path, "/grpc.health.v1.Health/"):
		serving := uint64(1)
		if s.stopping.Load() {
			serving = 2
		}
		return stream.SendMsg(message(number(nil, 1, serving)))
	case method == "DumpMessages":
		for part := range uint64(3) {
			if err := stream.SendMsg(message(number(nil, 1, part+1))); err != nil {
				return err
			}
		}
		return nil
	}
	return stream.SendMsg(s.answer(stream.Context(), method))
}

func (s *proxy) answer(ctx context.Context, method string) message {
	if s.stopping.Load() {
		return failed(notReady, "service not ready[proxy=1]: Abnormal")
	}
	switch method {
	case "GetVersion":
		return message(text(succeeded(), 2, "v3.0.1-standin"))
	case "Connect":
		return message(number(succeeded(), 3, 1))
	case "GetComponentStates":
		return message(text(nil, 1, string(number(nil, 3, 1))))
	case "Search", "HybridSearch", "Query":
		if !s.admit() {
			return failed(tooManyRequests, fmt.Sprintf("too many concurrent requests, queue is full[limit=%d]", s.queue))
		}
		defer s.done()
		s.work(ctx)
	case "LoadCollection":
		s.work(ctx)
	case "Insert", "Upsert", "Delete":
		s.writes.Add(1)
	}
	return message(succeeded())
}

func echo(stream grpc.ServerStream) error {
	for {
		var part message
		if err := stream.RecvMsg(&part); err != nil {
			return nil // the client is done
		}
		if err := stream.SendMsg(part); err != nil {
			return err
		}
	}
}

// Succeeded is an answer with an empty common.Status in its field 1.
func succeeded() []byte { return text(nil, 1, "") }

// Failed is an answer with a common.Status as merr makes it: error_code=1, of old, reason=2, code=3, retriable=4.
func failed(code uint64, reason string) message {
	old := uint64(1) // UnexpectedError
	if code == notReady {
		old = 56 // NotReadyServe
	}
	inside := number(number(text(number(nil, 1, old), 2, reason), 3, code), 4, 1)
	return message(text(nil, 1, string(inside)))
}

func number(b []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), value)
}

func text(b []byte, field protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), value)
}
