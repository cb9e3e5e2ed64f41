// A short session with the Go SDK. Its settings come as JSON on standard input, so that no password is in argv.
// It prints what it did and got, one JSON object for each call that the test compares.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"
	"google.golang.org/grpc"
)

const dimension = 8

type settings struct {
	Host, User, Password, Database, Collection string
	Port, Repeats                              int
}

type call struct {
	Rpc   string `json:"rpc"`
	Nq    int    `json:"nq,omitempty"`
	Limit int    `json:"limit,omitempty"`
	Rows  int    `json:"rows,omitempty"`
}

func note(made call) {
	if err := json.NewEncoder(os.Stdout).Encode(made); err != nil {
		log.Fatal(err)
	}
}

func must(what string, err error) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

func main() {
	var given settings
	must("settings", json.NewDecoder(os.Stdin).Decode(&given))
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	milvus, err := client.NewClient(ctx, client.Config{
		Address:       net.JoinHostPort(given.Host, strconv.Itoa(given.Port)),
		Username:      given.User,
		Password:      given.Password,
		DBName:        given.Database,
		EnableTLSAuth: true,
		// The host has no entry in DNS here.
		DialOptions: append(client.DefaultGrpcOpts, grpc.WithContextDialer(
			func(ctx context.Context, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", given.Port))
			})),
	})
	must("connect", err)

	schema := entity.NewSchema().WithName(given.Collection).
		WithField(entity.NewField().WithName("id").WithDataType(entity.FieldTypeInt64).WithIsPrimaryKey(true)).
		WithField(entity.NewField().WithName("vector").WithDataType(entity.FieldTypeFloatVector).WithDim(dimension))
	must("create", milvus.CreateCollection(ctx, schema, 1, client.WithConsistencyLevel(entity.ClBounded)))
	note(call{Rpc: "CreateCollection"})

	var ids []int64
	var vectors [][]float32
	for number := range 40 {
		ids = append(ids, int64(number))
		vectors = append(vectors, vector(number))
	}
	inserted, err := milvus.Insert(ctx, given.Collection, "",
		entity.NewColumnInt64("id", ids), entity.NewColumnFloatVector("vector", dimension, vectors))
	must("insert", err)
	note(call{Rpc: "Insert", Rows: inserted.Len()})

	index, err := entity.NewIndexHNSW(entity.L2, 8, 64)
	must("index", err)
	must("index", milvus.CreateIndex(ctx, given.Collection, "vector", index, false))
	note(call{Rpc: "CreateIndex"})
	must("load", milvus.LoadCollection(ctx, given.Collection, false))
	note(call{Rpc: "LoadCollection"})

	parameters, err := entity.NewIndexHNSWSearchParam(32)
	must("search", err)
	asked := []entity.Vector{entity.FloatVector(vector(3)), entity.FloatVector(vector(4))}
	for range given.Repeats {
		found, err := milvus.Search(ctx, given.Collection, nil, "", []string{"id"}, asked, "vector", entity.L2, 5, parameters)
		must("search", err)
		rows := 0
		for _, hits := range found {
			rows += hits.ResultCount
		}
		note(call{Rpc: "Search", Nq: len(asked), Limit: 5, Rows: rows})
		time.Sleep(250 * time.Millisecond)
	}
	listed, err := milvus.Query(ctx, given.Collection, nil, "id < 20", []string{"id"}, client.WithLimit(7))
	must("query", err)
	note(call{Rpc: "Query", Limit: 7, Rows: listed.Len()})
	must("drop", milvus.DropCollection(ctx, given.Collection))
	note(call{Rpc: "DropCollection"})
	must("close", milvus.Close())
}

func vector(number int) []float32 {
	values := make([]float32, dimension)
	for i := range values {
		values[i] = float32(number) / 7
	}
	return values
}
