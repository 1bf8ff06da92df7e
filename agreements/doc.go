// Package agreements says who may have what, and when.
//
// An Opgaveloeser gets the rows of a Bruger in a dataområde only while three agreements are in force at once:
//
//	Tilslutningsaftale    Bruger and STAR; its bilag (annex) lists the Opgaveloesere that work for the Bruger
//	Databehandleraftale   Opgaveloeser and Bruger; confirmed by the Bruger
//	Samarbejdsaftale      Opgaveloeser and STAR; approved for a formål (purpose), lists the dataområder
//
// An authority that is its own Opgaveloeser needs neither the bilag nor the Databehandleraftale for its own rows.
// The register is strict YAML, described in docs/AGREEMENTS.md. It is read once, checked in full, and immutable after that:
//
//	register, err := agreements.LoadPath("agreements.yaml", cat)
//	if err != nil {
//		return err // names file and line
//	}
//	for _, g := range register.Grants(time.Now()) {
//		fmt.Println(g.Opgaveloeser, g.Bruger, g.Dataomraade, g.To)
//	}
//
// There is no override: what the agreements do not give, nobody gets. Grants, Access and Next are computed from the same spans of time,
// so they cannot disagree, and a grant ends by itself at the instant that the first of its agreements does.
package agreements
