import type { Bank, Chooser } from "./template.js";

const none: Bank = {};

/** Whole sentences, so that no grammar is needed but a number here and there. */
const sentences: readonly (readonly string[])[] = [
  [
    "Der Zug nach Norden fährt heute erst um {7-11} Uhr ab.",
    "Im Winter sind die Tage kurz, und trotzdem geht er jeden Morgen am Fluss spazieren.",
    "Wir haben {2-40} Bücher bestellt, aber nur die Hälfte ist angekommen.",
    "Wer langsam liest, versteht oft mehr als derjenige, der alles überfliegt.",
    "Die Bäckerei an der Ecke schließt am Samstag um {12-18} Uhr.",
    "Obwohl es regnete, blieb die Tür zum Garten den ganzen Nachmittag offen.",
    "Das Gesetz gilt seit dem Jahr 19{10-99} und wurde seither dreimal geändert.",
    "Bitte füllen Sie das Formular vollständig aus und unterschreiben Sie auf der Rückseite.",
  ],
  [
    "Le marché ouvre à {6-9} heures, et les premiers clients attendent déjà devant la porte.",
    "Elle a trouvé une vieille carte dans un tiroir qu'on n'avait pas ouvert depuis {10-60} ans.",
    "Si tu veux comprendre ce texte, lis-le deux fois et ferme ensuite le livre.",
    "Il faut {200-900} grammes de farine, un peu de sel et beaucoup de patience.",
    "Les ingénieurs ont mesuré la largeur du pont : {12-90} mètres exactement.",
    "Personne ne savait pourquoi l'horloge de la gare s'était arrêtée cette nuit-là.",
    "Nous vous remercions de votre lettre et vous répondrons avant la fin du mois.",
  ],
  [
    "El barco salió del puerto a las {2-9} de la tarde con {20-300} pasajeros a bordo.",
    "Mi abuela decía que la mejor sopa es la que se hace sin prisa.",
    "En la biblioteca hay más de {2-90} mil libros, pero casi nadie sube al último piso.",
    "¿Sabes si la farmacia está abierta los domingos?",
    "Cuando dejó de llover, los niños corrieron hacia el río.",
    "El informe explica por qué los precios subieron un {2-19} por ciento en un año.",
    "No es lo mismo saber una respuesta que entender la pregunta.",
  ],
  [
    "La stazione era vuota e l'orologio segnava le {1-11} e mezza.",
    "Per fare il pane servono acqua, farina, lievito e un po' di tempo.",
    "Il professore ha corretto {20-90} compiti in una sola notte.",
    "Chi arriva per ultimo chiude la finestra e spegne la luce.",
    "Non ricordo il nome della strada, ma c'era una fontana davanti alla casa.",
  ],
  [
    "O comboio chegou com {5-50} minutos de atraso por causa do nevoeiro.",
    "A minha irmã estuda os pássaros que passam o inverno na lagoa.",
    "Quem quiser participar deve enviar o formulário até ao dia {1-28}.",
    "Depois do jantar, o avô contava histórias de viagens que talvez nunca tivesse feito.",
  ],
  [
    "De fietsenmaker heeft gezegd dat het wiel over {2-9} dagen klaar is.",
    "Het water stond zo hoog dat de boten bijna tegen de brug kwamen.",
    "Wie de sleutel vindt, kan hem bij de buren afgeven.",
    "In de winter van 19{10-99} was de rivier wekenlang bevroren.",
  ],
  [
    "Pociąg do Gdańska odjeżdża z peronu {1-9} o godzinie {6-22}.",
    "Babcia zawsze mówiła, że cierpliwość jest ważniejsza niż siła.",
    "W ogrodzie rosną jabłonie, które posadził jeszcze mój dziadek.",
    "Proszę wypełnić formularz i odesłać go do końca miesiąca.",
  ],
  [
    "Поезд отправляется в {6-22} часов с третьего пути.",
    "Она долго смотрела на старую карту и не могла найти свою улицу.",
    "В библиотеке было тихо, только за окном шумел дождь.",
    "Чтобы решить задачу, нужно сначала понять, что известно, а что надо найти.",
    "Цена выросла на {2-19} процентов за один год.",
  ],
  [
    "Tren saat {6-22} sularında kalkacak, lütfen bekleyiniz.",
    "Köyün ortasında yaşlı bir çınar ağacı vardı.",
    "Bu kitabı {2-9} gün içinde okuyup geri getireceğim.",
  ],
  [
    "火车将在{6-22}点从三号站台出发。",
    "图书馆里很安静，只有窗外的雨声。",
    "如果你想理解这个问题，请先把已知条件写下来。",
    "这座桥长{100-900}米，建于19{10-99}年。",
    "奶奶说，好的汤需要时间和耐心。",
    "去年价格上涨了百分之{2-19}。",
  ],
  [
    "電車は{6-22}時に三番線から出発します。",
    "図書館はとても静かで、窓の外の雨の音だけが聞こえた。",
    "この橋の長さは{100-900}メートルで、19{10-99}年に建てられました。",
    "質問を理解することは、答えを知ることより大切です。",
    "祖母の料理は時間がかかるが、とてもおいしい。",
  ],
  [
    "기차는 {6-22}시에 삼 번 승강장에서 출발합니다.",
    "도서관은 조용했고 창밖에는 비가 내리고 있었다.",
    "이 다리의 길이는 {100-900}미터입니다.",
  ],
  [
    "يغادر القطار في الساعة {6-12} من الرصيف الثالث.",
    "كانت المكتبة هادئة ولم يكن يسمع سوى صوت المطر.",
    "طول هذا الجسر {100-900} متر.",
  ],
  [
    "ट्रेन {6-12} बजे तीसरे प्लेटफ़ॉर्म से चलेगी।",
    "पुस्तकालय में शांति थी और बाहर बारिश हो रही थी।",
    "इस पुल की लंबाई {100-900} मीटर है।",
  ],
];

/** A paragraph in a language other than English. */
export function foreign(chooser: Chooser): string {
  const own = chooser.of(sentences);
  return chooser
    .some(own, chooser.number(3, own.length))
    .map((sentence) => chooser.fill(sentence, none))
    .join(/[。]$/.test(own[0]!) ? "" : " ");
}
