package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A result is what one run took.
type result struct {
	Count   int64 // octets, round trips or connections
	Seconds float64
	CPU     float64 // seconds, user and system, of the contender
	AllCPU  float64 // and of the far end
	Missing bool    // packets are missing from the capture
}

func seconds(u *syscall.Rusage) float64 {
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// A comparison is a job done by all contenders, in turn.
type comparison struct {
	title, job string
	names      []string // the first is what the others are held against
	results    map[string][]result
}

// rate is how fast a run was, cpu what it cost, and their units.
func (c *comparison) rate(r result) float64 {
	if c.transfer() {
		return float64(r.Count) * 8 / r.Seconds / 1e9
	}
	return float64(r.Count) / r.Seconds
}

func (c *comparison) cpu(r result) float64 {
	if c.transfer() {
		return r.AllCPU / float64(r.Count) * (1 << 30)
	}
	return r.AllCPU / float64(r.Count) * 1e6
}

func (c *comparison) units() (rate, cpu string) {
	if c.transfer() {
		return "Gbit/s", "CPU s/GiB"
	}
	return "a second", "CPU µs each"
}

func (c *comparison) transfer() bool { return times[c.job] == 0 }

// ratios are a contender's figures in proportion to the first's of the round.
func (c *comparison) ratios(name string, of func(result) float64) []float64 {
	var v []float64
	for i, r := range c.results[name] {
		v = append(v, of(r)/of(c.results[c.names[0]][i]))
	}
	return v
}

func (c *comparison) values(name string, of func(result) float64) []float64 {
	var v []float64
	for _, r := range c.results[name] {
		v = append(v, of(r))
	}
	return v
}

// report is all comparisons in Markdown: first how fast all were in proportion
// to the first contender and at what cost, then the figures.
func report(all []comparison) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", machine())
	var names []string
	for _, c := range all {
		for _, name := range c.names {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	matrix := func(title string, of func(c *comparison, r result) float64) {
		fmt.Fprintf(&b, "| %s | %s |\n|---|%s\n", title, strings.Join(names, " | "), strings.Repeat("---|", len(names)))
		for _, c := range all {
			fmt.Fprintf(&b, "| %s: %s |", c.title, c.job)
			for _, name := range names {
				if c.results[name] == nil {
					b.WriteString(" |")
				} else {
					fmt.Fprintf(&b, " %.2f |", median(c.ratios(name, func(r result) float64 { return of(&c, r) })))
				}
			}
			b.WriteString("\n")
		}
		b.WriteString("\n")
	}
	matrix("rate, of "+names[0]+"'s", (*comparison).rate)
	matrix("CPU, of "+names[0]+"'s", (*comparison).cpu)
	for _, c := range all {
		rate, cpu := c.units()
		fmt.Fprintf(&b, "%s: **%s**, %d rounds\n\n", c.title, c.job, len(c.results[c.names[0]]))
		fmt.Fprintf(&b, "| | rate of %[1]s's | CPU of %[1]s's | %[2]s | %[3]s |\n|---|---|---|---|---|\n", c.names[0], rate, cpu)
		for _, name := range c.names {
			label := name
			if slices.ContainsFunc(c.results[name], func(r result) bool { return r.Missing }) {
				label += " (incomplete)"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", label, spread(c.ratios(name, c.rate)), spread(c.ratios(name, c.cpu)),
				spread(c.values(name, c.rate)), spread(c.values(name, c.cpu)))
		}
		b.WriteString("\n")
	}
	return strings.TrimSpace(b.String()) + "\n"
}

// machine says where this was measured.
func machine() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	model := "unknown processor"
	if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(info); m != nil {
		model = string(m[1])
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%s: %d cores of %s, Linux %s, %s; load when it was done %s.", time.Now().Format(time.DateOnly), runtime.NumCPU(), model,
		strings.TrimSpace(string(release)), runtime.Version(), strings.Fields(string(load))[0])
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// spread is the median, and the least and the most.
func spread(v []float64) string {
	m := median(v)
	format := "%.2f"
	if m >= 100 {
		format = "%.0f"
	}
	return fmt.Sprintf("**"+format+"** ("+format+" to "+format+")", m, v[0], v[len(v)-1])
}
