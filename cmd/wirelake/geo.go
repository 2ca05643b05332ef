package main

import (
	"net/netip"

	"wirelake/internal/geo"
)

// geoLookup gives the session builder what the GeoIP databases say.
type geoLookup struct{ db *geo.DB }

// Lookup implements session.Lookup.
func (g geoLookup) Lookup(a netip.Addr) (country string, asn uint32, organization string) {
	number, org, _ := g.db.ASN(a)
	return g.db.Country(a), number, org
}

func (a *app) openGeo() (geoLookup, error) {
	db, err := geo.Open(a.cfg.GeoIP)
	return geoLookup{db}, err
}
