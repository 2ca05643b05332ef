// Command serve starts MinIO and Elasticsearch on free ports of 127.0.0.1 for a person at a terminal, prints the
// environment and the flags that wirelake needs to use them, and stops both on Ctrl-C:
//
//	go run ./testenv/cmd/serve
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"wirelake/testenv"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context) error {
	var minio *testenv.MinIOServer
	started := make(chan error, 1)
	go func() {
		var err error
		minio, err = testenv.StartMinIO()
		started <- err
	}()
	elastic, err := testenv.StartElasticsearch()
	if err == nil {
		defer elastic.Close()
	}
	if err := errors.Join(<-started, err); err != nil {
		return err
	}
	defer minio.Close()
	bucket, err := minio.NewBucket(ctx)
	if err != nil {
		return err
	}
	for _, v := range bucket.Env() {
		fmt.Printf("export %s\n", v)
	}
	fmt.Printf("export WIRELAKE_STORE='%s'\n", bucket.URL(""))
	fmt.Printf("export WIRELAKE_ELASTICSEARCH_URLS=%s\n", elastic.URL())
	log.Print("# MinIO and Elasticsearch run until Ctrl-C; their data goes with them.")
	<-ctx.Done()
	return nil
}
