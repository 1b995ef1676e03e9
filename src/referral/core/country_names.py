"""The names of countries, written by tests/helpers/countries.py: `make messages`."""

LANGUAGES = ("en", "ru")
NAMES = """\
AC|Ascension Island|о-в Вознесения
AD|Andorra|Андорра
AE|United Arab Emirates|ОАЭ
AF|Afghanistan|Афганистан
AG|Antigua & Barbuda|Антигуа и Барбуда
AI|Anguilla|Ангилья
AL|Albania|Албания
AM|Armenia|Армения
AO|Angola|Ангола
AR|Argentina|Аргентина
AS|American Samoa|Американское Самоа
AT|Austria|Австрия
AU|Australia|Австралия
AW|Aruba|Аруба
AX|Åland Islands|Аландские о-ва
AZ|Azerbaijan|Азербайджан
BA|Bosnia & Herzegovina|Босния и Герцеговина
BB|Barbados|Барбадос
BD|Bangladesh|Бангладеш
BE|Belgium|Бельгия
BF|Burkina Faso|Буркина-Фасо
BG|Bulgaria|Болгария
BH|Bahrain|Бахрейн
BI|Burundi|Бурунди
BJ|Benin|Бенин
BL|St. Barthélemy|Сен-Бартелеми
BM|Bermuda|Бермудские о-ва
BN|Brunei|Бруней
BO|Bolivia|Боливия
BQ|Caribbean Netherlands|Бонэйр, Синт-Эстатиус и Саба
BR|Brazil|Бразилия
BS|Bahamas|Багамы
BT|Bhutan|Бутан
BW|Botswana|Ботсвана
BY|Belarus|Беларусь
BZ|Belize|Белиз
CA|Canada|Канада
CC|Cocos (Keeling) Islands|Кокосовые о-ва
CD|Congo - Kinshasa|Конго - Киншаса
CF|Central African Republic|Центрально-Африканская Республика
CG|Congo - Brazzaville|Конго - Браззавиль
CH|Switzerland|Швейцария
CI|Côte d’Ivoire|Кот-д’Ивуар
CK|Cook Islands|о-ва Кука
CL|Chile|Чили
CM|Cameroon|Камерун
CN|China|Китай
CO|Colombia|Колумбия
CR|Costa Rica|Коста-Рика
CU|Cuba|Куба
CV|Cape Verde|Кабо-Верде
CW|Curaçao|Кюрасао
CX|Christmas Island|о-в Рождества
CY|Cyprus|Кипр
CZ|Czechia|Чехия
DE|Germany|Германия
DJ|Djibouti|Джибути
DK|Denmark|Дания
DM|Dominica|Доминика
DO|Dominican Republic|Доминиканская Республика
DZ|Algeria|Алжир
EC|Ecuador|Эквадор
EE|Estonia|Эстония
EG|Egypt|Египет
EH|Western Sahara|Западная Сахара
ER|Eritrea|Эритрея
ES|Spain|Испания
ET|Ethiopia|Эфиопия
FI|Finland|Финляндия
FJ|Fiji|Фиджи
FK|Falkland Islands|Фолклендские о-ва
FM|Micronesia|Федеративные Штаты Микронезии
FO|Faroe Islands|Фарерские о-ва
FR|France|Франция
GA|Gabon|Габон
GB|United Kingdom|Великобритания
GD|Grenada|Гренада
GE|Georgia|Грузия
GF|French Guiana|Французская Гвиана
GG|Guernsey|Гернси
GH|Ghana|Гана
GI|Gibraltar|Гибралтар
GL|Greenland|Гренландия
GM|Gambia|Гамбия
GN|Guinea|Гвинея
GP|Guadeloupe|Гваделупа
GQ|Equatorial Guinea|Экваториальная Гвинея
GR|Greece|Греция
GT|Guatemala|Гватемала
GU|Guam|Гуам
GW|Guinea-Bissau|Гвинея-Бисау
GY|Guyana|Гайана
HK|Hong Kong SAR China|Гонконг (САР)
HN|Honduras|Гондурас
HR|Croatia|Хорватия
HT|Haiti|Гаити
HU|Hungary|Венгрия
ID|Indonesia|Индонезия
IE|Ireland|Ирландия
IL|Israel|Израиль
IM|Isle of Man|о-в Мэн
IN|India|Индия
IO|British Indian Ocean Territory|Британская территория в Индийском океане
IQ|Iraq|Ирак
IR|Iran|Иран
IS|Iceland|Исландия
IT|Italy|Италия
JE|Jersey|Джерси
JM|Jamaica|Ямайка
JO|Jordan|Иордания
JP|Japan|Япония
KE|Kenya|Кения
KG|Kyrgyzstan|Киргизия
KH|Cambodia|Камбоджа
KI|Kiribati|Кирибати
KM|Comoros|Коморы
KN|St. Kitts & Nevis|Сент-Китс и Невис
KP|North Korea|КНДР
KR|South Korea|Республика Корея
KW|Kuwait|Кувейт
KY|Cayman Islands|о-ва Кайман
KZ|Kazakhstan|Казахстан
LA|Laos|Лаос
LB|Lebanon|Ливан
LC|St. Lucia|Сент-Люсия
LI|Liechtenstein|Лихтенштейн
LK|Sri Lanka|Шри-Ланка
LR|Liberia|Либерия
LS|Lesotho|Лесото
LT|Lithuania|Литва
LU|Luxembourg|Люксембург
LV|Latvia|Латвия
LY|Libya|Ливия
MA|Morocco|Марокко
MC|Monaco|Монако
MD|Moldova|Молдова
ME|Montenegro|Черногория
MF|St. Martin|Сен-Мартен
MG|Madagascar|Мадагаскар
MH|Marshall Islands|Маршалловы о-ва
MK|North Macedonia|Северная Македония
ML|Mali|Мали
MM|Myanmar (Burma)|Мьянма (Бирма)
MN|Mongolia|Монголия
MO|Macao SAR China|Макао (САР)
MP|Northern Mariana Islands|Северные Марианские о-ва
MQ|Martinique|Мартиника
MR|Mauritania|Мавритания
MS|Montserrat|Монтсеррат
MT|Malta|Мальта
MU|Mauritius|Маврикий
MV|Maldives|Мальдивы
MW|Malawi|Малави
MX|Mexico|Мексика
MY|Malaysia|Малайзия
MZ|Mozambique|Мозамбик
NA|Namibia|Намибия
NC|New Caledonia|Новая Каледония
NE|Niger|Нигер
NF|Norfolk Island|о-в Норфолк
NG|Nigeria|Нигерия
NI|Nicaragua|Никарагуа
NL|Netherlands|Нидерланды
NO|Norway|Норвегия
NP|Nepal|Непал
NR|Nauru|Науру
NU|Niue|Ниуэ
NZ|New Zealand|Новая Зеландия
OM|Oman|Оман
PA|Panama|Панама
PE|Peru|Перу
PF|French Polynesia|Французская Полинезия
PG|Papua New Guinea|Папуа — Новая Гвинея
PH|Philippines|Филиппины
PK|Pakistan|Пакистан
PL|Poland|Польша
PM|St. Pierre & Miquelon|Сен-Пьер и Микелон
PR|Puerto Rico|Пуэрто-Рико
PS|Palestinian Territories|Палестинские территории
PT|Portugal|Португалия
PW|Palau|Палау
PY|Paraguay|Парагвай
QA|Qatar|Катар
RE|Réunion|Реюньон
RO|Romania|Румыния
RS|Serbia|Сербия
RU|Russia|Россия
RW|Rwanda|Руанда
SA|Saudi Arabia|Саудовская Аравия
SB|Solomon Islands|Соломоновы о-ва
SC|Seychelles|Сейшельские о-ва
SD|Sudan|Судан
SE|Sweden|Швеция
SG|Singapore|Сингапур
SH|St. Helena|о-в Св. Елены
SI|Slovenia|Словения
SJ|Svalbard & Jan Mayen|Шпицберген и Ян-Майен
SK|Slovakia|Словакия
SL|Sierra Leone|Сьерра-Леоне
SM|San Marino|Сан-Марино
SN|Senegal|Сенегал
SO|Somalia|Сомали
SR|Suriname|Суринам
SS|South Sudan|Южный Судан
ST|São Tomé & Príncipe|Сан-Томе и Принсипи
SV|El Salvador|Сальвадор
SX|Sint Maarten|Синт-Мартен
SY|Syria|Сирия
SZ|Eswatini|Эсватини
TA|Tristan da Cunha|Тристан-да-Кунья
TC|Turks & Caicos Islands|Тёркс и Кайкос
TD|Chad|Чад
TG|Togo|Того
TH|Thailand|Таиланд
TJ|Tajikistan|Таджикистан
TK|Tokelau|Токелау
TL|Timor-Leste|Восточный Тимор
TM|Turkmenistan|Туркменистан
TN|Tunisia|Тунис
TO|Tonga|Тонга
TR|Türkiye|Турция
TT|Trinidad & Tobago|Тринидад и Тобаго
TV|Tuvalu|Тувалу
TW|Taiwan|Тайвань
TZ|Tanzania|Танзания
UA|Ukraine|Украина
UG|Uganda|Уганда
US|United States|Соединенные Штаты
UY|Uruguay|Уругвай
UZ|Uzbekistan|Узбекистан
VA|Vatican City|Ватикан
VC|St. Vincent & Grenadines|Сент-Винсент и Гренадины
VE|Venezuela|Венесуэла
VG|British Virgin Islands|Виргинские о-ва (Великобритания)
VI|U.S. Virgin Islands|Виргинские о-ва (США)
VN|Vietnam|Вьетнам
VU|Vanuatu|Вануату
WF|Wallis & Futuna|Уоллис и Футуна
WS|Samoa|Самоа
XK|Kosovo|Косово
YE|Yemen|Йемен
YT|Mayotte|Майотта
ZA|South Africa|Южно-Африканская Республика
ZM|Zambia|Замбия
ZW|Zimbabwe|Зимбабве
"""
