package chunk

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Limits of the comments of packets.
const (
	// MaxCommentBytes is the most bytes of a comment: what an option of pcapng holds.
	MaxCommentBytes = 1<<16 - 1

	// maxComments is the bytes of comments at which a chunk is full.
	maxCommentsBytes = 4 << 20
)

// Comment is what somebody wrote about a packet.
type Comment struct {
	Offset uint64 // of the packet's record in the stream
	Text   string // UTF-8, not empty
}

// recordComment is a comment of the record at pos of the recordBuffer.
type recordComment struct {
	pos  uint32
	text string
}

// Comment adds a comment to the packet that was added last. One longer than MaxCommentBytes is cut.
func (b *Builder) Comment(text string) {
	if text == "" || len(b.entries) == 0 {
		return
	}
	if len(text) > MaxCommentBytes {
		cut := MaxCommentBytes
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	b.comments = append(b.comments, recordComment{b.entries[len(b.entries)-1].pos, text})
	b.commentBytes += len(text)
}

// locateComments returns the comments with the places that their records have in the stream.
func (b *Builder) locateComments(s *sealer) []Comment {
	if len(b.comments) == 0 {
		return nil
	}
	byPos := make(map[uint32][]string, len(b.comments))
	for _, c := range b.comments {
		byPos[c.pos] = append(byPos[c.pos], c.text)
	}
	out := make([]Comment, 0, len(b.comments))
	offset := uint64(pcapHeaderBytes)
	for _, pos := range s.clustered {
		for _, text := range byPos[pos] {
			out = append(out, Comment{offset, text})
		}
		offset += uint64(storedRecordSize(b.records.at(pos))) //nolint:gosec // positive
	}
	return out
}

// encodeComments returns the comments' section of the index.
func encodeComments(comments []Comment) []byte {
	var b []byte
	last := uint64(0)
	for _, c := range comments {
		b = binary.AppendUvarint(b, c.Offset-last)
		b = binary.AppendUvarint(b, uint64(len(c.Text)))
		b = append(b, c.Text...)
		last = c.Offset
	}
	return b
}

func (ix *index) decodeComments(s *[numSections][]byte) string {
	c := column{b: s[secComments], max: MaxRawBytes}
	last := uint64(0)
	for len(c.b) > 0 && !c.bad {
		last += c.next()
		n := c.next()
		if n == 0 || n > MaxCommentBytes || n > uint64(len(c.b)) {
			c.bad = true
			break
		}
		text := c.b[:n]
		c.b = c.b[n:]
		if !utf8.Valid(text) || ix.flowAt(last) == nil {
			return fmt.Sprintf("comment %d, at %d of the stream, is not of a packet or not UTF-8", len(ix.comments), last)
		}
		ix.comments = append(ix.comments, Comment{last, string(text)})
	}
	if !c.done() {
		return "comments do not decode"
	}
	return ""
}

// flowAt returns the flow that has byte offset of the stream, nil when none has.
func (ix *index) flowAt(offset uint64) *FlowEntry {
	i, found := slices.BinarySearchFunc(ix.flows, offset, func(e FlowEntry, o uint64) int {
		switch {
		case e.Offset+e.Length <= o:
			return -1
		case e.Offset > o:
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	return &ix.flows[i]
}

// FlowAt returns the flow that has byte offset of the stream, nil when none has. The entry is the reader's.
func (r *Reader) FlowAt(offset uint64) *FlowEntry { return r.index.flowAt(offset) }

// Comments returns the comments of packets, in the order of the stream. The slice is the reader's.
func (r *Reader) Comments() []Comment { return r.index.comments }
