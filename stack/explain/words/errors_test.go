package words

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// Each sentence is found again in what it becomes, whatever is put into it, and
// is not taken for another.
func TestErrorFindsTheSentenceAgain(t *testing.T) {
	for english, chinese := range pairs(ours, others) {
		if !strings.Contains(english, " ") {
			continue
		}
		var args []any
		for i, m := range verb.FindAllStringSubmatch(english, -1) {
			switch m[3] {
			case "%":
			case "d":
				args = append(args, fmt.Sprint(1000+i))
			case "q":
				args = append(args, fmt.Sprintf(`"q %d \" : %s"`, i, english))
			default:
				args = append(args, fmt.Sprint("arg", i))
			}
		}
		toStrings := func(format string) string { return newPattern("", format).translation }
		message := fmt.Sprintf(toStrings(english), args...)
		want := fmt.Sprintf(toStrings(chinese), args...)
		if got := Chinese.Error(errors.New(message)); got != want {
			t.Errorf("%s\n got %s\nwant %s", message, got, want)
		}
	}
}

func TestErrorsWithinErrors(t *testing.T) {
	_, notThere := os.Open("/nosuch/client")
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("--pcap: %w", notThere), "--pcap：打开 /nosuch/client：没有这个文件或目录"},
		{fmt.Errorf("%s: %w", "a b.pcap", fmt.Errorf("the capture is damaged: a block of %d octets", 3)), "a b.pcap: 捕获文件已损坏: 块的长度为 3 字节"},
		{fmt.Errorf("unknown host %s: no name server knows it; check the spelling, or give the address", "server"), // a name, though a word too
			"未知主机 server：没有域名服务器认识它；请检查拼写，或直接给出地址"},
		{fmt.Errorf("x.rawnc:3: %w", errors.New("expected: a\n  actual: b")), "x.rawnc:3: 预期：a\n  实际：b"},
		{fmt.Errorf("cannot connect to %s: %w", "[::1]:80", syscall.EPERM), "无法连接到 [::1]:80：操作不允许"},
		{errors.New("nobody has translated this: permission denied"), "nobody has translated this: 权限不够"},
		{errors.New(`--send "100%": x`), `--send "100%": x`},
	} {
		if got := Chinese.Error(test.err); got != test.want {
			t.Errorf("%v:\n got %s\nwant %s", test.err, got, test.want)
		}
		if got := English.Error(test.err); got != test.err.Error() {
			t.Errorf("in English: %s", got)
		}
	}
}
