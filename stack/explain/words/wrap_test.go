package words

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		text    string
		columns int
		want    string
	}{
		{"no limit, no break", 0, "no limit, no break"},
		{"only at spaces", 6, "only|at|spaces"},
		{"a verylongword stays whole", 6, "a|verylongword|stays|whole"},
		{"  a b", 3, "  a|b"},
		{"三次握手", 4, "三次|握手"},
		{"三次握手", 5, "三次|握手"},
		{"确认号，序号", 6, "确认|号，序|号"},           // no line begins with ，
		{"序号（ISN）", 6, "序号|（ISN）"},          // nor ends with （
		{"SYN 占用一个序号", 8, "SYN 占用|一个序号"},    // a word stays whole
		{"收到 SYN,ACK。", 8, "收到|SYN,ACK。"},   // with its mark
		{"本机IP地址", 6, "本机IP|地址"},            // without spaces too
		{"“短”", 2, "“短”"},                   // better too long than wrong
		{"Ack 1：下一个", 7, "Ack 1：|下一个"},      // behind a mark
		{"对方 不再发送", 4, "对方|不再|发送"},          // the space goes
		{"相隔 0.200 ms", 6, "相隔|0.200|ms"},   // as in English
		{"用 '--pcap' 写", 8, "用|'--pcap'|写"}, // a flag stays whole
	} {
		if got := strings.ReplaceAll(Wrap(test.text, test.columns, ""), "\n", "|"); got != test.want {
			t.Errorf("%q in %d columns: %q, want %q", test.text, test.columns, got, test.want)
		}
	}
	if got := Wrap("一二三四", 4, "  "); got != "一二\n  三\n  四" {
		t.Errorf("indented: %q", got)
	}
}
