package main

import (
	"bufio"
	"io"
	"sync/atomic"

	"rawnc/stack/explain"
)

// jsonLines is output as JSON. It writes accounts while those that follow are
// still made: each takes half of the time.
type jsonLines struct {
	out   *bufio.Writer
	batch []explain.Account // being filled
	used  int
	empty chan []explain.Account
	full  chan []explain.Account
	done  chan struct{}
	err   atomic.Pointer[error] // of out
}

const (
	batches   = 4
	batchSize = 64
)

func newJSONLines(w io.Writer) *jsonLines {
	j := &jsonLines{
		out:   bufio.NewWriterSize(w, 256<<10),
		empty: make(chan []explain.Account, batches), full: make(chan []explain.Account, batches), done: make(chan struct{}),
	}
	for range batches {
		j.empty <- make([]explain.Account, batchSize)
	}
	j.batch = <-j.empty
	go j.run()
	return j
}

func (j *jsonLines) next() *explain.Account { return &j.batch[j.used] }

func (j *jsonLines) keep() error {
	if j.used++; j.used == batchSize {
		j.flush()
	}
	if err := j.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (j *jsonLines) flush() {
	if j.used > 0 {
		j.full <- j.batch[:j.used]
		j.batch, j.used = (<-j.empty)[:batchSize], 0
	}
}

// summary writes nothing: there is an object for each segment, and no other.
func (j *jsonLines) summary(*explain.Summary) {}

func (j *jsonLines) close() error {
	j.flush()
	close(j.full)
	<-j.done
	if err := j.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (j *jsonLines) run() {
	defer close(j.done)
	var line []byte
	for batch := range j.full {
		for i := range batch {
			line = explain.AppendJSON(line[:0], &batch[i])
			j.out.Write(line)
		}
		j.empty <- batch
		var err error
		if len(j.full) == 0 { // nothing more to write for now
			err = j.out.Flush()
		} else {
			_, err = j.out.Write(nil)
		}
		if err != nil {
			j.err.CompareAndSwap(nil, &err)
		}
	}
}
