package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// A result is what one run took.
type result struct {
	Count   int64 // octets, round trips or connections
	Seconds float64
	CPU     float64 // seconds, user and system, of the contender
	AllCPU  float64 // and of the far end
}

func seconds(u *syscall.Rusage) float64 {
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// table is what all took for a job, in Markdown: first in proportion to the first
// of them, round by round.
func table(title, job string, names []string, results map[string][]result) string {
	rate, unit := func(r result) float64 { return float64(r.Count) * 8 / r.Seconds / 1e9 }, "Gbit/s"
	cpu, cpuUnit := func(r result) float64 { return r.AllCPU / float64(r.Count) * (1 << 30) }, "CPU s/GiB, both ends"
	if _, ok := times[job]; ok {
		rate, unit = func(r result) float64 { return float64(r.Count) / r.Seconds }, "a second"
		cpu, cpuUnit = func(r result) float64 { return r.AllCPU / float64(r.Count) * 1e6 }, "CPU µs each, both ends"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s: **%s**, %d rounds\n\n", title, job, len(results[names[0]]))
	fmt.Fprintf(&b, "| | of %s | %s | its CPU | %s |\n|---|---|---|---|---|\n", names[0], unit, cpuUnit)
	for _, name := range names {
		var ratio, own, rates, cpus []float64
		for i, r := range results[name] {
			base := results[names[0]][i]
			ratio = append(ratio, rate(r)/rate(base))
			own = append(own, cpu(r)/cpu(base))
			rates, cpus = append(rates, rate(r)), append(cpus, cpu(r))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, spread(ratio), spread(rates), spread(own), spread(cpus))
	}
	return b.String()
}

// spread is the median, and the least and the most.
func spread(v []float64) string {
	slices.Sort(v)
	n := len(v)
	median := (v[(n-1)/2] + v[n/2]) / 2
	format := "%.2f"
	if median >= 100 {
		format = "%.0f"
	}
	return fmt.Sprintf("**"+format+"** ("+format+" to "+format+")", median, v[0], v[n-1])
}
