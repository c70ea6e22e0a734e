//! Every bound on what may come from outside, in one place, each with its reason.

/// A study as canonical JSON. A hundred analyses with long filters fit in a tenth of it.
pub const STUDY_BYTES: usize = 1 << 20;
/// A study as text before it is bound.
pub const STUDY_TEXT_BYTES: usize = 1 << 20;
/// A contract as text: a thousand columns with codes fit.
pub const CONTRACT_TEXT_BYTES: usize = 4 << 20;
/// A configuration file as text.
pub const CONFIG_TEXT_BYTES: usize = 4 << 20;
/// One frame between any two processes: the largest legal release (`CELLS` cells of a few measures) fits.
pub const FRAME_BYTES: usize = 16 << 20;
/// One frame of a node's own request, or its answer: a chain and the roots in force.
pub const RENEWAL_BYTES: usize = 64 << 10;
/// A certificate or a certificate request: ours have 500 bytes.
pub const CERTIFICATE_BYTES: usize = 4 << 10;
/// Certificates of a chain: a leaf, its issuer, and the one by which the root of old vouches for the issuer's.
pub const CHAIN: usize = 4;
/// Roots in force and the certificates between them: two roots and one between, while one is being replaced.
pub const ROOTS: usize = 8;
/// Certificates that a site may get within an hour. It needs one in twenty days.
pub const RENEWALS_AN_HOUR: usize = 6;
/// Handshakes of nodes under way at a coordinator, by each transport. Each takes two round trips: two thousand nodes are in within seconds.
pub const HANDSHAKES: usize = 256;
/// How long a stranger may hold a place while another of the same address wants one: some round trips of a slow line. Those of other addresses take
/// it from whoever holds most, at once.
pub const STRANGER_SECS: u64 = 3;
/// Enrolments under way at a coordinator: as many as handshakes, so that who would hold them all needs as many addresses.
pub const ENROLMENTS: usize = 256;
/// Connections of HTTP clients at a time: some 10 MiB of buffers when all are held open.
pub const HTTP_CONNECTIONS: usize = 512;
/// Of these, one user holds so many against strangers.
pub const HTTP_CONNECTIONS_OF_ONE: usize = 32;
/// How often a site may move its session within an hour with notice: each lets an older session live until its last answer. It moves where UDP is let through again.
pub const MOVES_AN_HOUR: usize = 12;
/// How often a site may greet at once: each greeting takes the place of the session before …
pub const HELLOS_AT_ONCE: f64 = 60.0;
/// … and how many more with every second. A node whose sessions are lost young, or that is started again and again, comes every few seconds.
pub const HELLOS_PER_SEC: f64 = 1.0;
/// How long a site may say nothing within a reply that it has begun. It sends one from memory: over the slowest line something comes every few seconds.
pub const REPLY_STALL_SECS: u64 = 20;
/// The same of a coordinator within a request.
pub const REQUEST_STALL_SECS: u64 = 20;
/// What must come of a reply or a request that has begun, in bytes per second, beside so long a silence once: else a byte every few seconds would hold it
/// for hours. A modem of 1995 brings three times as much.
pub const LEAST_BYTES_PER_SEC: u64 = 1 << 10;
/// The first frame of a session, before the peer is known to speak our protocol.
pub const HELLO_BYTES: usize = 64 << 10;
/// A message or hint in a public error.
pub const ERROR_TEXT_BYTES: usize = 2000;
/// Body of an HTTP request: a study with its signature, base64 included.
pub const HTTP_BODY_BYTES: usize = 2 << 20;
/// Body of an HTTP response: the result of a study whose tables are as large as they may be.
pub const HTTP_RESPONSE_BYTES: usize = 256 << 20;
/// A permit as canonical JSON: a few datasets with a few hundred columns each, and a thousand sites, fit.
pub const PERMIT_BYTES: usize = 64 << 10;
/// A list of revoked permits as canonical JSON: some two hundred that have not ended by themselves. It travels with every round.
pub const REVOCATIONS_BYTES: usize = 64 << 10;
/// Access bodies that a coordinator knows: it keeps and shows a list of [`REVOCATIONS_BYTES`] of each.
pub const ACCESS_BODIES: usize = 64;
/// A site's message to the researcher who waits for its steward.
pub const SITE_MESSAGE_BYTES: usize = 500;
/// Studies that may wait for a site's steward at a time: more than a person reads.
pub const PENDING_STUDIES: usize = 1000;
/// Of these, studies that one researcher has signed: nobody keeps the others from the desk.
pub const PENDING_STUDIES_OF_ONE: usize = PENDING_STUDIES / 10;
/// Studies that may be open at a coordinator at a time: each holds a task for every site that has not answered.
pub const OPEN_STUDIES: usize = 1000;
/// Of these, studies that one researcher has signed: nobody keeps the others from the network.
pub const OPEN_STUDIES_OF_ONE: usize = OPEN_STUDIES / 10;
/// What a local command may say to the custodian: a few lines.
pub const ADMIN_BYTES: usize = 16 << 10;
/// An invitation's file: the network's contracts, of which a pack has some hundred kilobytes, and a few keys and names.
pub const INVITATION_BYTES: usize = 16 << 20;
/// How many days an invitation may be good.
pub const INVITATION_DAYS: std::ops::RangeInclusive<u32> = 1..=90;
/// What somebody without a certificate may say to enrol: a few hundred bytes.
pub const ENROL_REQUEST_BYTES: usize = 4 << 10;
/// The answer: two certificates, or an error.
pub const ENROL_ANSWER_BYTES: usize = 64 << 10;
/// What an open study's sites have at least to come back and answer, where its coordinator was away or its clock was set; less where the study gives them
/// less. A node that has lost its session dials again within half a minute.
pub const GRACE_SECS: u64 = 60;
/// Analyses in one study.
pub const ANALYSES: usize = 100;
/// Sites in one study.
pub const SITES: usize = 10_000;
/// Datasets that one node announces.
pub const DATASETS: usize = 256;
/// Contracts that a coordinator names to a site's doctor: they fit into a first frame.
pub const INQUIRY_CONTRACTS: usize = 500;
/// Contracts of which a coordinator tells a node that it holds them.
pub const KNOWN_CONTRACTS: usize = 1000;
/// Columns that a node names beside its catalogue, of all its datasets: those that it does not collect, and those of contracts that the coordinator
/// does not hold. A coordinator keeps them of every site.
pub const PARTICULAR_COLUMNS: usize = 5000;
/// A column's unit or code system as a node names it.
pub const UNIT_BYTES: usize = 100;
/// Columns of a contract.
pub const COLUMNS: usize = 2000;
/// Codes of one column.
pub const CODES: usize = 60_000;
/// Rules of a contract: each is evaluated over every row when a snapshot is taken.
pub const RULES: usize = 200;
/// Nodes of one expression.
pub const EXPRESSION_NODES: usize = 2000;
/// Depth of one expression. The checker and the engine recurse over it.
pub const EXPRESSION_DEPTH: usize = 50;
/// Literals in one `in` list.
pub const IN_LIST: usize = 10_000;
/// Tables that a study looks into beside the one that it counts.
pub const RELATED_TABLES: usize = 16;
/// Features of one study. Each is a pass over a table.
pub const FEATURES: usize = 64;
/// Up to so many of a patient's rows are counted; more count as so many. It bounds what a sum of counts can say.
pub const FEATURE_COUNT: u32 = 10_000;
/// Days between a window's end and its moment, either way: two hundred years.
pub const WINDOW_DAYS: i32 = 73_050;
/// An age in years.
pub const AGE: i64 = 130;
/// Code lists of one study.
pub const CODE_LISTS: usize = 64;
/// A file with a code list, or with a hierarchy of codes: ICD-10-CM, with its titles, is 10 MB.
pub const CODES_TEXT_BYTES: usize = 64 << 20;
/// Keys of one table.
pub const TABLE_KEYS: usize = 6;
/// Columns shown in one table.
pub const TABLE_SHOW: usize = 50;
/// Groups that are compared with each other: more than a person reads.
pub const GROUPS: usize = 100;
/// A group's score in a test for trend.
pub const SCORE: f64 = 1e6;
/// People of a standard population in one stratum: more than there are.
pub const STANDARD_POPULATION: f64 = 1e11;
/// A file with a standard population: a line a stratum, of [`CELLS`].
pub const STANDARD_TEXT_BYTES: usize = 16 << 20;
/// A rate is events in at most so many patients.
pub const PER: f64 = 1e7;
/// Events of a survival that compete with the one that is asked for: more than a paper has.
pub const COMPETING: usize = 8;
/// Cells of one table, the product of its keys' levels.
pub const CELLS: usize = 100_000;
/// Discovered keys that a site answers with at most: more than a person reads, and with names of [`KEY_BYTES`] they fit a frame.
pub const DISCOVERED_KEYS: usize = 10_000;
/// Discovered keys that a study can have shown. A table's other keys must leave room for so many.
pub const TOP: usize = 1000;
/// A text of the data that leaves as a discovered key. A diagnosis or a drug fits; a letter does not.
pub const KEY_BYTES: usize = 200;
/// Values of one table: cells times what each holds. Bounds a tally's memory at 16 bytes a value.
pub const TALLY_VALUES: usize = 2_000_000;
/// One row of a source file, quoted line ends included: the widest contract with five hundred bytes a column fits. It bounds the memory that a
/// file without line ends, or with a quote that never closes, can take.
pub const SOURCE_LINE_BYTES: usize = 1 << 20;
/// What a PostgreSQL server may send for one row: a value has at most as many characters as [`SOURCE_LINE_BYTES`] has bytes, and a dozen of them at their
/// largest fit. It bounds the memory that a server without measure can take.
pub const POSTGRES_ROW_BYTES: usize = 64 << 20;
/// The footer of a Parquet file: two thousand columns in forty row groups fit. What it unfolds to in memory is some hundred times as much.
pub const PARQUET_FOOTER_BYTES: usize = 16 << 20;
/// One page of a Parquet file, compressed or not. Usual ones have 1 MiB; the decoder holds one of them, and the dictionary.
pub const PARQUET_PAGE_BYTES: usize = 256 << 20;
/// What the text columns of a Parquet file may take: so many times the file's size …
pub const UNFOLDED_TIMES: u64 = 1000;
/// … and so much beside it. A file of a few bytes can name a billion rows of one value.
pub const UNFOLDED_BYTES: u64 = 4 << 30;
/// One resource of an NDJSON file. A note of some megabytes fits; it bounds the memory that a file without line ends can take.
pub const FHIR_LINE_BYTES: usize = 16 << 20;
/// A Bundle, unpacked. It is read as a whole, since what its entries refer to may stand behind them.
pub const FHIR_BUNDLE_BYTES: usize = 128 << 20;
/// Entries of a Bundle.
pub const FHIR_BUNDLE_ENTRIES: usize = 500_000;
/// A view definition as text.
pub const FHIR_VIEW_BYTES: usize = 1 << 20;
/// Values of one resource that a view reads, 32 bytes each in memory.
pub const FHIR_RESOURCE_VALUES: usize = 1_000_000;
/// Values that `|` of a path compares with each other.
pub const FHIR_UNION_VALUES: usize = 1000;
/// Tokens of one path of a view. Compiling and evaluating recurse over it.
pub const FHIR_PATH_TOKENS: usize = 1000;
/// Rows of one resource. An Observation has as many as components; lists within lists multiply.
pub const FHIR_RESOURCE_ROWS: usize = 10_000;
/// Elements of one resource that a view stands on, one after another: lists within lists multiply even where they give no row.
pub const FHIR_RESOURCE_ELEMENTS: usize = 100_000;
/// What the rows of one resource may take.
pub const FHIR_RESOURCE_UNFOLDED_BYTES: usize = 32 << 20;
/// Ids that are kept to notice that a resource is there twice: a table of 2²² places of 9 bytes, 38 MB, holds no more.
pub const FHIR_WATCHED_IDS: usize = 3_500_000;
/// Resources that others refer to, as they are kept to be looked up: a table of 2²² places of 17 bytes, 71 MB, holds no more.
pub const FHIR_LOOKED_UP: usize = 3_500_000;
/// What their texts may take.
pub const FHIR_LOOKED_UP_BYTES: usize = 32 << 20;
/// A site's list of opt-outs.
pub const OPTOUT_LIST_BYTES: u64 = 256 << 20;
/// Parts of patients that have come and gone between the answers to one question, whom a node counts one by one before it answers again.
pub const MOVED_PARTS: usize = 1000;
/// Rows of one snapshot: bounds every sum, so that fixed-point cells cannot overflow.
pub const ROWS: u64 = 1 << 40;
/// Values of all published tables of a study, hidden ones included: some 100 bytes each in memory and in the result, which a coordinator holds as a whole.
pub const RESULT_VALUES: usize = 1_000_000;
/// Files of a report's folder: two for each table, and a study has [`ANALYSES`] with some tables each.
pub const REPORT_FILES: usize = 10_000;
/// Canonical JSON of a report's manifest.
pub const REPORT_MANIFEST_BYTES: usize = 4 << 20;
/// Canonical JSON of what a coordinator signs of a result.
pub const PUBLICATION_BYTES: usize = 1024;
/// One file of a report's folder: its page holds every published value and a picture of some.
pub const REPORT_FILE_BYTES: u64 = 1 << 30;
/// A part of the name of a report's file.
pub const REPORT_NAME_BYTES: usize = 200;
/// Rounds of one analysis.
pub const ROUNDS: u16 = 100;
/// A label or title in a contract or study.
pub const LABEL_BYTES: usize = 500;
/// A column's heading in a study: the expression as it was written.
pub const HEADING_BYTES: usize = 16 << 10;
/// Integers beyond this are not exact in JSON (RFC 8785 numbers are doubles).
pub const EXACT_INT: i64 = (1 << 53) - 1;
/// How far two clocks may differ, in seconds.
pub const CLOCK_TOLERANCE_SECS: i64 = 300;
/// Longest time a study may stay open, in seconds.
pub const STUDY_LIFE_SECS: i64 = 90 * 24 * 3600;
/// Requests about one study that a site answers and writes into its ledger: every round with ten repeats. A coordinator that replays requests
/// without end fills no disk.
pub const STUDY_REQUESTS: u32 = 1000;
/// How long after an answer a study that may have a further round is still open at a site, where it counts against `concurrent`. When it comes back later
/// it goes on, though another may have begun meanwhile: two that wait for each other's sites would else never end.
pub const STUDY_IDLE_SECS: i64 = 60;
/// Requests of strangers (unknown signers, broken signatures) that one run of a custodian writes into its ledger; more are logged only.
pub const STRANGER_REQUESTS: u32 = 1000;
/// Refusals of one signer that a custodian writes into its ledger in a day; of more it writes the number only.
pub const WRITTEN_REFUSALS: u32 = 200;
/// Requests that may wait at one custodian.
pub const CUSTODIAN_QUEUE: usize = 64;
/// Smallest number of values that an integer column must be able to take to be summed, by itself or within a measure. With fewer, n, sum
/// and sum of squares give every value's count away. The gate looks at the values that there are; this is said before any data is read.
pub const MEASURE_LEVELS: i64 = 8;
/// Numeric measures of one table that may read the same column: each is one more equation about the same values.
pub const COLUMN_MEASURES: usize = 2;
/// Levels that an integer column may have to serve as a table key as it is.
pub const INT_KEY_LEVELS: i64 = 1000;
/// Edges of one `cut` or histogram.
pub const BREAKS: usize = 1000;
/// Cells of the public grid that quantiles are counted over. Finer ones would say more about where a bin of k patients ends.
pub const GRID_CELLS: usize = 1000;
/// Columns of a model's design, the intercept included. A step's numbers grow with their square.
pub const MODEL_COLUMNS: usize = 100;
/// Factors of one design column.
pub const MODEL_FACTORS: usize = 4;
/// Knots of a spline, with those at its ends.
pub const MODEL_KNOTS: usize = 20;
/// Steps of one fit. Each is some more equations about the same rows.
pub const MODEL_ROUNDS: u16 = 25;
/// Sites of which standard errors by site are told, at least: the scores of fewer say nothing of how sites vary.
pub const SITES_OF_ERRORS: usize = 10;
/// How many folds patients are left out by: all of them are unions of the ten, so no two counts tell fewer patients apart than these do.
pub const FOLDS: [u8; 3] = [2, 5, 10];
/// Fits of one step that leave a site out.
pub const FITS: usize = 20;
/// Rounds of one path of penalties. Each is some more equations about the same rows.
pub const PATH_ROUNDS: u16 = 75;
/// Penalties of one path, where each takes a few rounds.
pub const PATH_STEPS: usize = 20;
/// Penalties of one path that is computed from one round's sums.
pub const PATH_POINTS: usize = 100;
/// Clusters of one analysis, more than a paper describes.
pub const CLUSTERS: usize = 20;
/// Columns that clusters are made of.
pub const CLUSTER_COLUMNS: usize = 50;
/// Starts of one k-means: the best of them is published.
pub const CLUSTER_STARTS: usize = 20;
/// Rounds of one k-means. Each is some more equations about the same rows.
pub const CLUSTER_ROUNDS: u16 = 50;
/// Starts that a site answers by the same columns of the same patients, whoever asks. Each is held against all before it.
pub const CLUSTER_ANSWERS: usize = 2_000;
/// What a site remembers of them, in bytes.
pub const CLUSTER_ANSWER_BYTES: usize = DESIGN_BYTES / 4;
/// Steps from the middle of a column's range to its end: a centroid's coordinates are whole ones.
pub const CLUSTER_STEPS: i32 = 1 << 20;
/// What a column counts in a distance, where the one that counts most counts 1.
pub const CLUSTER_WEIGHT: std::ops::RangeInclusive<f64> = 1e-12..=1.0;
/// Strata of a Cox model by its declared keys: combinations of their levels.
pub const COX_STRATA: usize = 1000;
/// Numbers of a step of a Cox model with one baseline for all sites, which grow with its intervals and the square of its columns: 1.6 MB of a frame.
/// Twenty columns have room for 430 intervals.
pub const COX_GRID_VALUES: usize = 200_000;
/// Events of one interval that Efron's method takes one by one, and groups beyond which it takes them in groups: how long a step takes follows from
/// its numbers, not from how many events sites say there are.
pub const COX_TIED: u64 = 16_384;
/// Patients of whom a Cox model says how long they go without the event.
pub const COX_PATTERNS: usize = 20;
/// A slope of a column that is scaled to [−1, 1]. Steeper ones could make the sums those of a few rows.
pub const MODEL_SLOPE: f64 = 10.0;
/// An intercept, and a linear predictor.
pub const MODEL_INTERCEPT: f64 = 30.0;
/// The linear predictor of a fitted model that stands in a study: a probability of 3e-7, and one short of 1 by as much.
pub const LINEAR_PREDICTOR: f64 = 15.0;
/// A coefficient of a fitted linear model that stands in a study, over half of its column's range: no outcome is larger.
pub const LINEAR_COEFFICIENT: f64 = 1e9;
/// One over a predicted probability, as a weight: rarer ones weigh as much as this.
pub const INVERSE_PROBABILITY: f64 = 100.0;
/// Fitted models that a study names.
pub const MODELS: usize = 16;
/// The dispersion θ of a negative binomial model.
pub const MODEL_THETA: std::ops::RangeInclusive<f64> = 1e-4..=1e7;
/// A number in the sums of a step: one that is larger cannot be added up.
pub const MODEL_SUM: f64 = 1e100;
/// Designs that a custodian keeps between the rounds of studies, in bytes.
pub const DESIGN_BYTES: usize = 1 << 30;
/// Designs that a custodian keeps between rounds, however small they are.
pub const DESIGNS: usize = 128;
/// Quantiles of one analysis.
pub const QUANTILES: usize = 100;
/// Steps of one flow of inclusion steps.
pub const ATTRITION_STEPS: usize = 50;
/// What one frame may unfold to in memory. The codec counts a varint `i128` as its 16 bytes, so a full tally
/// ([`TALLY_VALUES`]) needs 32 MB although it travels in far less than [`FRAME_BYTES`].
pub const DECODED_BYTES: usize = 64 << 20;
/// A node's software version in its hello, in bytes of printable ASCII.
pub const SOFTWARE_BYTES: usize = 64;
/// Checkpoints that a coordinator tells a node at a time: the newest, and two that contradict each other.
pub const WITNESSED: usize = 3;

/// A file with a coordinator's checkpoints of a site: three of them are 1 KiB.
pub const CHECKPOINT_FILE_BYTES: usize = 64 << 10;
/// A key, certificate chain or token in a file: a chain of three certificates is 2 KiB.
pub const SECRET_FILE_BYTES: usize = 64 << 10;
/// The list of files of a FHIR bulk export: some 50,000 links of 300 bytes.
pub const BULK_MANIFEST_BYTES: usize = 16 << 20;
/// Files of one bulk export. Servers cut at some 10,000 to a million resources a file.
pub const BULK_FILES: usize = 20_000;
/// One file of a bulk export, as it comes and as it unfolds. Nothing of it is held in memory; a server that sends without end fills no disk.
pub const BULK_FILE_BYTES: u64 = 256 << 30;
/// Any other answer of a FHIR or token server: a few KiB.
pub const BULK_ANSWER_BYTES: usize = 256 << 10;
/// The longest time that a FHIR server may ask us to wait at once, and the longest time from asking for an export to its being ready.
pub const BULK_PATIENCE_SECS: i64 = 24 * 3600;
/// Times that one request is repeated where nothing comes of it.
pub const BULK_TRIES: u32 = 8;
/// Times that one file may be taken up again after its connection was cut, progress or not.
pub const BULK_CUTS: u32 = 200;
/// The head of an HTTP proxy's answer to CONNECT: a few lines.
pub const PROXY_ANSWER_BYTES: usize = 16 << 10;
/// Header lines of it.
pub const PROXY_ANSWER_HEADERS: usize = 64;
/// A file with authorities that a proxy's certificate may come from: a system's whole bundle has some 220 KiB.
pub const CA_BUNDLE_BYTES: usize = 4 << 20;
/// Connections to a daemon's status socket that are answered at a time. More are dropped: who scrapes comes again.
pub const STATUS_CONNECTIONS: usize = 16;
/// Bytes of the head of a request to a status socket.
pub const STATUS_HEAD_BYTES: usize = 8 << 10;
/// How long a connection to a status socket may take from its first byte to its last.
pub const STATUS_SECS: u64 = 10;
/// Bytes of a page that a command takes from a status socket.
pub const STATUS_PAGE_BYTES: u64 = 8 << 20;
/// Users of the coordinator's HTTP interface.
pub const API_USERS: usize = 10_000;
/// Tokens of one user that are neither revoked nor expired: one for each thing that they use.
pub const API_TOKENS_OF_ONE: usize = 20;
/// The longest life of a token, in days.
pub const API_TOKEN_DAYS: u32 = 366;
/// Requests that a token may make at once …
pub const API_BURST: f64 = 600.0;
/// … and how many more with every second.
pub const API_PER_SEC: f64 = 60.0;
/// Attempts without a sound token that an address may make at once …
pub const API_FAILURES_BURST: f64 = 60.0;
/// … and how many more with every second.
pub const API_FAILURES_PER_SEC: f64 = 0.5;
/// Tokens, and addresses, whose recent requests a coordinator remembers: some 100 bytes each.
pub const API_REMEMBERED: usize = 20_000;
