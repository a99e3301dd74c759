package stack

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Runs of many segments are what a run for each would be.
func TestRunsOfMany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const iss = Seq(1<<32 - 5000)
		many, plain := new(scoreboard), new(scoreboard)
		now, una, nxt := time.Unix(1e9, 0), iss, iss
		both := func(do func(b *scoreboard, d *delivered)) {
			var news [2]delivered
			do(many, &news[0])
			do(plain, &news[1])
			together := *many
			together.runs, together.memory = slices.Clone(many.runs), nil
			together.apart()
			for i := range news {
				news[i].latest.seq, news[i].latest.more = 0, 0 // nobody asks
			}
			all := cmp.AllowUnexported(sent{}, delivered{})
			if diff := cmp.Diff(plain.runs, together.runs, all); diff != "" {
				t.Fatalf("one by one (-), together (+):\n%s", diff)
			}
			if diff := cmp.Diff(news[1], news[0], all); diff != "" {
				t.Fatalf("delivered one by one (-), together (+):\n%s", diff)
			}
			a, b := plain, many
			if a.segments() != b.segments() || a.order != b.order || a.sackedBytes != b.sackedBytes || a.lostBytes != b.lostBytes {
				t.Fatalf("one by one %+v, together %+v", a, b)
			}
		}
		within := func(what string) Seq { return una.Add(rapid.IntRange(0, nxt.Sub(una)).Draw(t, what)) }
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				n, size := rapid.IntRange(1, 20).Draw(t, "segments"), rapid.IntRange(1, 50).Draw(t, "octets")
				now = now.Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "ms")) * time.Millisecond)
				many.push(nxt, nxt.Add(n*size), n, now).size = uint16(size)
				for range n {
					plain.push(nxt, nxt.Add(size), 1, now).size = uint16(size)
					nxt = nxt.Add(size)
				}
			},
			"ack": func(t *rapid.T) {
				una = within("Ack")
				both(func(b *scoreboard, d *delivered) { b.ack(una, d) })
			},
			"SACK": func(t *rapid.T) {
				left, right := within("left"), within("right")
				both(func(b *scoreboard, d *delivered) { b.sack(left, right, d) })
			},
			"head lost": func(t *rapid.T) {
				both(func(b *scoreboard, _ *delivered) {
					if s := b.head(); s != nil {
						b.markLost(s)
					}
				})
			},
			"all lost": func(*rapid.T) {
				both(func(b *scoreboard, _ *delivered) { b.markAllLost() })
			},
			"again": func(t *rapid.T) {
				size := rapid.IntRange(50, 100).Draw(t, "octets")
				both(func(b *scoreboard, _ *delivered) {
					if i, s := b.firstLost(); s != nil {
						b.join(i, size)
						b.resent(&b.runs[i], now)
					}
				})
			},
			"spurious": func(*rapid.T) {
				both(func(b *scoreboard, _ *delivered) { b.unmarkLost() })
			},
		})
	})
}
