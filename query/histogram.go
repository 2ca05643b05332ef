package query

import (
	"context"
	"time"

	"wirelake/internal/spi"
)

// The spans up to which buckets of a second, a minute and an hour are made.
const (
	secondsUpTo = 1000 * time.Second
	minutesUpTo = 600_000 * time.Second
	hoursUpTo   = 36_000_000 * time.Second
	// maxBuckets bounds the buckets of an interval that was asked for by name; Elasticsearch allows 65,536.
	maxBuckets = 50_000
)

func autoInterval(span time.Duration) time.Duration {
	switch {
	case span <= secondsUpTo:
		return time.Second
	case span <= minutesUpTo:
		return time.Minute
	case span <= hoursUpTo:
		return time.Hour
	}
	return 24 * time.Hour
}

// interval reads the width of buckets; 0 is auto.
func (p *params) interval() (width time.Duration, err error) {
	switch v := p.Get("interval"); v {
	case "", "auto":
		return 0, nil
	case "second":
		width = time.Second
	case "minute":
		width = time.Minute
	case "hour":
		width = time.Hour
	case "day":
		width = 24 * time.Hour
	case "week":
		width = 7 * 24 * time.Hour
	default:
		return 0, badParam("interval", "%q is not one of auto, second, minute, hour, day and week", v)
	}
	return width, nil
}

// span returns the length of a window, 0 for one without an end or a start.
func (w Window) span() time.Duration {
	if w.From == 0 || w.To == 0 {
		return 0
	}
	return time.Duration(w.To-w.From) * time.Millisecond
}

// histogramField returns the time that puts a session in a bucket.
func histogramField(b Bounding) spi.FieldID {
	if b == BoundingFirst || b == BoundingEither {
		return spi.FirstPacket
	}
	return spi.LastPacket
}

// searchGraph runs the search with a histogram, and returns the width of its buckets: the one asked for, unless that
// makes too many, or (0) one that suits the window or, when it has no end of its own, what is found.
func searchGraph(ctx context.Context, engine Engine, s *Search, asked time.Duration) (*Result, time.Duration, error) {
	s.Histogram = &Histogram{Field: histogramField(s.Window.Bounding), Interval: 24 * time.Hour}
	if span := s.Window.span(); span > 0 || asked >= 24*time.Hour {
		s.Histogram.Interval = fitInterval(asked, span)
		result, err := engine.Search(ctx, s)
		return result, s.Histogram.Interval, err
	}
	result, err := engine.Search(ctx, s)
	if err != nil || len(result.Buckets) == 0 {
		return result, time.Hour, err
	}
	// Look closer at the days that have something.
	first, last := result.Buckets[0].Start, result.Buckets[len(result.Buckets)-1].Start+dayMillis
	width := fitInterval(asked, time.Duration(last-first)*time.Millisecond)
	if width == 24*time.Hour {
		return result, width, nil
	}
	again := *s
	again.Start, again.Length, again.Sort = 0, 0, nil
	again.Histogram = &Histogram{Field: s.Histogram.Field, Interval: width}
	closer, err := engine.Search(ctx, &again)
	if err != nil {
		return nil, 0, err
	}
	result.Buckets = closer.Buckets
	return result, width, nil
}

// fitInterval returns the width asked for (0: auto), or one that makes fewer buckets.
func fitInterval(asked, span time.Duration) time.Duration {
	if asked == 0 || int64(span/asked) > maxBuckets {
		return autoInterval(span)
	}
	return asked
}

// tooFine tells that another width was taken than the one asked for.
func (p *params) tooFine(asked, taken time.Duration) {
	if asked != 0 && taken > asked {
		p.warnings = append(p.warnings, "the interval is too fine for the time searched: chosen automatically")
	}
}

// graph returns buckets in the shape of Arkime's graphs.
func graph(in []Bucket, w Window, width time.Duration) map[string]any {
	ms := width.Milliseconds()
	from, to := w.From, w.To
	var sum Bucket
	buckets := make([]Bucket, 0, len(in))
	for _, b := range in {
		sum.Add(b)
		if from != 0 && b.Start < from-from%ms {
			b.Start = from - from%ms // began before the window, and ran into it
		}
		buckets = append(buckets, b)
	}
	buckets = joinBuckets(buckets)
	if len(buckets) > 0 {
		if from == 0 {
			from = buckets[0].Start
		}
		if to == 0 {
			to = buckets[len(buckets)-1].Start + ms
		}
	}
	series := func(value func(Bucket) int64) [][2]int64 {
		out := make([][2]int64, 0, len(buckets))
		for _, b := range buckets {
			out = append(out, [2]int64{b.Start, value(b)})
		}
		return out
	}
	return map[string]any{
		"xmin": from, "xmax": to, "interval": int64(width / time.Second),
		"sessionsHisto": series(func(b Bucket) int64 { return b.Sessions }), "sessionsTotal": sum.Sessions,
		"source.packetsHisto":      series(func(b Bucket) int64 { return b.SourcePackets }),
		"source.packetsTotal":      sum.SourcePackets,
		"destination.packetsHisto": series(func(b Bucket) int64 { return b.DestinationPackets }),
		"destination.packetsTotal": sum.DestinationPackets,
		"network.packetsHisto":     series(func(b Bucket) int64 { return b.SourcePackets + b.DestinationPackets }),
		"network.packetsTotal":     sum.SourcePackets + sum.DestinationPackets,
		"source.bytesHisto":        series(func(b Bucket) int64 { return b.SourceBytes }),
		"source.bytesTotal":        sum.SourceBytes,
		"destination.bytesHisto":   series(func(b Bucket) int64 { return b.DestinationBytes }),
		"destination.bytesTotal":   sum.DestinationBytes,
		"network.bytesHisto":       series(func(b Bucket) int64 { return b.SourceBytes + b.DestinationBytes }),
		"network.bytesTotal":       sum.SourceBytes + sum.DestinationBytes,
		"client.bytesHisto":        series(func(b Bucket) int64 { return b.ClientBytes }),
		"client.bytesTotal":        sum.ClientBytes,
		"server.bytesHisto":        series(func(b Bucket) int64 { return b.ServerBytes }),
		"server.bytesTotal":        sum.ServerBytes,
		"totDataBytesHisto":        series(func(b Bucket) int64 { return b.ClientBytes + b.ServerBytes }),
		"totDataBytesTotal":        sum.ClientBytes + sum.ServerBytes,
	}
}
