package agreements

// file is the format of one file of the register; docs/AGREEMENTS.md describes it.
type file struct {
	Opgaveloesere        []opgaveloeserEntry        `yaml:"opgaveloesere"`
	Tilslutningsaftaler  []tilslutningsaftaleEntry  `yaml:"tilslutningsaftaler"`
	Databehandleraftaler []databehandleraftaleEntry `yaml:"databehandleraftaler"`
	Samarbejdsaftaler    []samarbejdsaftaleEntry    `yaml:"samarbejdsaftaler"`
}

type opgaveloeserEntry struct {
	ID      string `yaml:"id"`
	Name    string `yaml:"name"`
	Kind    string `yaml:"kind"`
	Bruger  string `yaml:"bruger"`
	CVR     string `yaml:"cvr"`
	Contact string `yaml:"contact"`
}

type tilslutningsaftaleEntry struct {
	Reference string   `yaml:"reference"`
	State     string   `yaml:"state"`
	From      string   `yaml:"from"`
	To        string   `yaml:"to"`
	Bruger    string   `yaml:"bruger"`
	Bilag     []string `yaml:"bilag"`
}

type databehandleraftaleEntry struct {
	Reference    string `yaml:"reference"`
	State        string `yaml:"state"`
	From         string `yaml:"from"`
	To           string `yaml:"to"`
	Opgaveloeser string `yaml:"opgaveloeser"`
	Bruger       string `yaml:"bruger"`
	ConfirmedBy  string `yaml:"confirmed_by"`
}

type samarbejdsaftaleEntry struct {
	Reference    string      `yaml:"reference"`
	State        string      `yaml:"state"`
	From         string      `yaml:"from"`
	To           string      `yaml:"to"`
	Opgaveloeser string      `yaml:"opgaveloeser"`
	Formaal      string      `yaml:"formaal"`
	ApprovedBy   string      `yaml:"approved_by"`
	ApprovedOn   string      `yaml:"approved_on"`
	Areas        []areaEntry `yaml:"dataomraader"`
}

type areaEntry struct {
	Dataomraade string `yaml:"dataomraade"`
	From        string `yaml:"from"`
	To          string `yaml:"to"`
}
