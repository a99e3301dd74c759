package pcapout_test

import (
	"bytes"
	"fmt"
	"log"
	"time"

	"github.com/google/gopacket/pcapgo"

	"rawnc/pcapout"
)

func Example() {
	var file bytes.Buffer
	w, err := pcapout.NewWriter(&file, pcapout.FormatFor("hello.pcapng"), pcapout.Meta{Version: "example 1.0"})
	if err != nil {
		log.Fatal(err)
	}
	err = w.WritePacket(pcapout.Packet{
		Time:     time.Unix(1591776000, 1),
		Dir:      pcapout.Out,
		Data:     segment,
		Comments: []string{"Seq 0: the SYN"},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Close(0); err != nil {
		log.Fatal(err)
	}

	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		log.Fatal(err)
	}
	data, info, err := r.ReadPacketData()
	fmt.Println(r.LinkType(), info.Timestamp.UTC(), len(data), "octets", err)
	// Output: Raw 2020-06-10 08:00:00.000000001 +0000 UTC 40 octets <nil>
}

func ExampleFormatFor() {
	fmt.Println(pcapout.FormatFor("old.pcap") == pcapout.PCAP, pcapout.FormatFor("new.pcapng") == pcapout.PCAPNG)
	// Output: true true
}
