"""The names of the people in the sample: given and family names by origin, as they meet in one region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class SampleOrigin:
    """Names that go together. `weight` is the origin's share, `second` the chance of a second family name."""

    weight: float
    women: tuple[str, ...]
    men: tuple[str, ...]
    family: tuple[str, ...]
    second: float = 0.0


def _origin(weight: float, women: str, men: str, family: str, second: float = 0.0) -> SampleOrigin:
    return SampleOrigin(weight, _names(women), _names(men), _names(family), second)


def _names(text: str) -> tuple[str, ...]:
    return tuple(" ".join(name.split()) for name in text.split(","))


ORIGINS: Final[tuple[SampleOrigin, ...]] = (
    _origin(
        30,
        """Amanda, Andrea, Angela, Ashley, Barbara, Bethany, Brenda, Brooke, Carolyn, Cheryl, Christina,
        Crystal, Cynthia, Danielle, Deborah, Denise, Donna, Dorothy, Elizabeth, Emily, Erin, Gail, Grace,
        Hannah, Heather, Holly, Jamie, Janet, Jennifer, Jessica, Joyce, Judith, Julie, Karen, Kathleen,
        Kelly, Kimberly, Laura, Linda, Lisa, Lori, Margaret, Mary, Megan, Melissa, Michelle, Nancy, Natalie,
        Pamela, Patricia, Rachel, Rebecca, Robin, Ruth, Samantha, Sandra, Sarah, Shannon, Sharon, Stephanie,
        Susan, Tammy, Teresa, Tiffany, Valerie, Wendy""",
        """Aaron, Adam, Alan, Albert, Andrew, Anthony, Arthur, Austin, Benjamin, Bradley, Brandon, Brian,
        Bruce, Bryce, Caleb, Carl, Charles, Christopher, Clayton, Cody, Cole, Craig, Curtis, Dale, Daniel,
        David, Dennis, Derek, Donald, Douglas, Dustin, Dylan, Earl, Edward, Eric, Ethan, Eugene, Frank,
        Gary, George, Gerald, Glenn, Gregory, Harold, Henry, Howard, Ian, Jack, Jacob, James, Jason,
        Jeffrey, Jeremy, Jerry, Joel, John, Jonathan, Jordan, Joseph, Joshua, Justin, Keith, Kenneth, Kevin,
        Kyle, Lance, Larry, Lawrence, Leonard, Logan, Louis, Lucas, Mark, Martin, Matthew, Michael,
        Mitchell, Nathan, Neil, Nicholas, Patrick, Paul, Peter, Philip, Ralph, Randall, Raymond, Richard,
        Robert, Rodney, Roger, Ronald, Roy, Russell, Ryan, Samuel, Scott, Sean, Shane, Spencer, Stanley,
        Stephen, Steven, Terry, Theodore, Thomas, Timothy, Todd, Travis, Trevor, Tyler, Victor, Vincent,
        Walter, Warren, Wayne, William, Zachary""",
        """Adams, Alexander, Allen, Anderson, Andrews, Armstrong, Arnold, Austin, Bailey, Baker, Barker,
        Barnes, Bates, Bennett, Bishop, Black, Boyd, Bradley, Brooks, Brown, Bryant, Burke, Burns, Butler,
        Campbell, Carpenter, Carter, Chapman, Clark, Cole, Collins, Cook, Cooper, Cox, Crawford, Cunningham,
        Daniels, Davis, Dixon, Dunn, Edwards, Elliott, Ellis, Evans, Ferguson, Fisher, Ford, Foster, Fox,
        Freeman, Gardner, Gibson, Gordon, Graham, Grant, Gray, Green, Griffin, Hall, Hamilton, Harper,
        Harris, Harrison, Hart, Harvey, Hawkins, Hayes, Henderson, Hicks, Hill, Holmes, Howard, Hudson,
        Hughes, Hunt, Hunter, Jackson, James, Jenkins, Johnson, Jones, Jordan, Kelley, Kennedy, King,
        Knight, Lane, Lawson, Lewis, Long, Marshall, Martin, Mason, Matthews, McDonald, Miller, Mills,
        Mitchell, Moore, Morgan, Morris, Morrison, Murphy, Murray, Myers, Nelson, Nichols, O'Brien,
        O'Connor, Olson, Palmer, Parker, Patterson, Payne, Perkins, Perry, Peters, Peterson, Phillips,
        Pierce, Porter, Powell, Price, Ray, Reed, Reynolds, Rice, Richardson, Riley, Roberts, Robertson,
        Robinson, Rogers, Rose, Ross, Russell, Ryan, Sanders, Scott, Shaw, Simmons, Simpson, Smith, Spencer,
        Stephens, Stevens, Stewart, Stone, Sullivan, Taylor, Thomas, Thompson, Tucker, Turner, Wagner,
        Walker, Wallace, Ward, Warren, Washington, Watkins, Watson, Weaver, Webb, Wells, West, Wheeler,
        White, Williams, Willis, Wilson, Wood, Woods, Wright, Young""",
        0.02,
    ),
    _origin(
        15,
        """Alejandra, Alicia, Ana María, Andrea, Araceli, Beatriz, Brenda, Carmen, Claudia, Daniela, Elena,
        Esmeralda, Fernanda, Gabriela, Graciela, Guadalupe, Isabel, Itzel, Jimena, Karla, Leticia, Lourdes,
        Lucía, Luz, María Elena, Marisol, Mónica, Noemí, Paola, Pilar, Rocío, Rosario, Silvia, Sofía,
        Valentina, Verónica, Ximena, Yolanda""",
        """Adrián, Alberto, Alejandro, Andrés, Ángel, Antonio, Arturo, César, Cristóbal, Diego, Eduardo,
        Emilio, Enrique, Ernesto, Esteban, Felipe, Fernando, Francisco, Gerardo, Gustavo, Héctor, Hugo,
        Ignacio, Iván, Javier, Jesús, Joaquín, Jorge, José Luis, Juan Carlos, Julián, Julio, Leonardo, Luis,
        Manuel, Marco Antonio, Martín, Mateo, Miguel, Moisés, Octavio, Óscar, Pablo, Pedro, Rafael, Ramón,
        Raúl, Ricardo, Roberto, Rodrigo, Rubén, Salvador, Santiago, Saúl, Sergio, Tomás, Vicente, Víctor
        Manuel""",
        """Acevedo, Aguilar, Alvarado, Álvarez, Ávila, Barajas, Becerra, Benítez, Cabrera, Calderón,
        Camacho, Cárdenas, Carrillo, Castañeda, Castillo, Ceja, Cervantes, Chávez, Contreras, Cortés, Cruz,
        de la Cruz, de la Torre, Delgado, Díaz, Domínguez, Escobar, Espinoza, Esquivel, Estrada, Figueroa,
        Flores, Fuentes, Gallegos, García, Gómez, González, Guerrero, Gutiérrez, Guzmán, Hernández, Herrera,
        Ibáñez, Ibarra, Jiménez, Juárez, Lara, León, López, Lozano, Luna, Macías, Maldonado, Márquez,
        Martínez, Medina, Mejía, Méndez, Mendoza, Molina, Montes de Oca, Morales, Moreno, Muñoz, Navarro,
        Núñez, Ochoa, Ortega, Ortiz, Padilla, Peña, Pérez, Quintero, Ramírez, Ramos, Reyes, Ríos, Rivera,
        Robles, Rodríguez, Rojas, Romero, Rosales, Ruiz, Salazar, Sánchez, Sandoval, Santana, Santiago,
        Serrano, Solís, Soto, Suárez, Torres, Treviño, Trujillo, Valdez, Valencia, Vargas, Vásquez, Vega,
        Velasco, Villanueva, Villaseñor, Zamora, Zúñiga""",
        0.38,
    ),
    _origin(
        7,
        """Astrid, Birgit, Britta, Elin, Freya, Greta, Heidi, Helga, Ingrid, Jutta, Karin, Kirsten, Liesl,
        Linnéa, Maren, Sigrid, Solveig, Trina""",
        """Anders, Axel, Bjørn, Carsten, Dieter, Erik, Gunnar, Günter, Hans, Henrik, Jens, Jürgen, Karl,
        Klaus, Lars, Leif, Magnus, Nils, Olaf, Otto, Rolf, Sven, Søren, Torsten, Uwe, Werner""",
        """Ahlström, Amundsen, Andersen, Bergström, Björklund, Brandt, Christensen, Dahl, Eriksen, Fischer,
        Gustafsson, Haugen, Hoffmann, Jørgensen, Kaufmann, Keller, Köhler, Krüger, Larsen, Lindqvist,
        Lundgren, Möller, Müller, Nyström, Ødegaard, Pedersen, Rasmussen, Schäfer, Schneider, Schröder,
        Schultz, Sjöberg, Strömberg, Sørensen, Thorvaldsen, Vogel, Weiß, Zimmermann, Åkesson""",
        0.05,
    ),
    _origin(
        7,
        """Alina, Anastasia, Darya, Ekaterina, Galina, Halyna, Iryna, Kateryna, Lesya, Lyudmila, Mariya,
        Natalia, Nadiya, Oksana, Olena, Olga, Svitlana, Tatyana, Yulia, Zoya""",
        """Aleksandr, Andriy, Anton, Bohdan, Boris, Dmitri, Fyodor, Grigori, Igor, Ivan, Kirill, Konstantin,
        Leonid, Maksim, Mykhailo, Mykola, Nikolai, Oleh, Oleksandr, Pavel, Petro, Roman, Ruslan, Serhiy,
        Stanislav, Taras, Timofey, Vadim, Valeriy, Vasyl, Viktor, Vitaly, Vladimir, Volodymyr, Yaroslav,
        Yuri""",
        """Bondarenko, Boyko, Chernenko, Danylchenko, Fedorov, Hrytsenko, Ivanov, Kolesnik, Kovalenko,
        Kravchenko, Kuznetsov, Lysenko, Makarenko, Marchenko, Melnyk, Moroz, Nesterenko, Oliynyk, Panchenko,
        Pavlenko, Petrenko, Popov, Romanenko, Savchenko, Semenov, Shevchenko, Shcherbakov, Sidorenko,
        Sokolov, Sorokin, Tkachenko, Vasylenko, Volkov, Voronin, Yakovenko, Zaitsev, Zelinsky, Zhukov""",
    ),
    _origin(
        7,
        """Anh, Bích, Diễm, Hạnh, Hoa, Hương, Kim, Lan, Linh, Mai, Minh Châu, Ngọc, Phương, Quỳnh, Thảo,
        Thanh, Thủy, Trang, Tuyết, Xuân, Yến""",
        """An, Bảo, Bình, Công, Đức, Dũng, Duy, Hải, Hiếu, Hoàng, Hùng, Huy, Khánh, Khoa, Long, Minh, Nam,
        Nghĩa, Phong, Phúc, Quang, Quốc, Sơn, Tài, Thành, Thịnh, Tiến, Trung, Tuấn, Việt, Vinh""",
        """Bùi, Cao, Châu, Đặng, Đinh, Đỗ, Dương, Hồ, Hoàng, Huỳnh, Lâm, Lê, Lý, Mai, Ngô, Nguyễn, Phạm,
        Phan, Tạ, Thái, Trần, Trịnh, Trương, Võ, Vũ""",
    ),
    _origin(
        6,
        """Aaliyah, Alicia, Bernice, Ebony, Imani, Jada, Keisha, Kiara, LaShonda, Latoya, Monique, Nia,
        Shanice, Tamika, Tanisha, Yolanda""",
        """André, Darius, DeAndre, Demetrius, Desmond, Isaiah, Jamal, Jerome, Kareem, Lamar, Malcolm, Malik,
        Marcus, Marquis, Maurice, Reginald, Terrance, Tyrone, Xavier""",
        """Banks, Battle, Benjamin, Booker, Charles, Coleman, Dawson, Frazier, Gaines, Glover, Hampton,
        Jefferson, Joseph, Mosley, Muhammad, Randolph, Rivers, Roland, Singleton, St. Clair, Tillman,
        Toussaint, Walton, Whitfield""",
        0.04,
    ),
    _origin(
        6,
        """Ai, Chun-hua, Fang, Haruka, Hye-jin, Jia Li, Keiko, Li Na, Mei, Mei-Ling, Michiko, Min-ji, Naomi,
        Seo-yeon, Soo-jin, Xiu Ying, Yan, Yoko, Yumi""",
        """Bo, Chen, Dong-hyun, Feng, Guang, Hao, Hiroshi, Jae-won, Jian, Ji-hoon, Jun, Kenji, Kenta, Lei,
        Min-jun, Ming, Ryota, Sang-woo, Seung-ho, Takeshi, Tao, Wei, Xiang, Yong, Young-ho""",
        """Chan, Chang, Chen, Cheng, Choi, Chung, Fujimoto, Han, Hara, Huang, Ishikawa, Jang, Jung, Kang,
        Kim, Kimura, Kwon, Lam, Lau, Lee, Li, Lim, Lin, Liu, Luo, Mori, Nakagawa, Ng, Ōno, Park, Saitō,
        Satō, Shin, Song, Sun, Takahashi, Tang, Wang, Watanabe, Wong, Wu, Xu, Yamamoto, Yang, Yoon, Zhang,
        Zhao, Zhou""",
    ),
    _origin(
        5,
        """Abeba, Adanna, Amina, Asha, Ayaan, Chidinma, Fadumo, Faith, Fatuma, Hodan, Khadija, Makda, Ngozi,
        Saba, Sahra, Selam, Tigist, Zahra""",
        """Abdi, Abdirahman, Abebe, Ahmed, Amadou, Bashir, Berhane, Chukwuemeka, Dawit, Emeka, Farah,
        Hassan, Ibrahim, Kofi, Kwame, Mohamed, Mulugeta, Olumide, Osman, Samuel, Solomon, Tesfaye, Tewodros,
        Yonas, Yusuf""",
        """Abdi, Abdullahi, Adeyemi, Ali, Asante, Bekele, Diallo, Farah, Gebremariam, Gebreselassie, Haile,
        Hassan, Hussein, Jama, Kebede, Mensah, Mohamud, Mwangi, N'Diaye, Nwachukwu, Okafor,
        Okonkwo-Adeyinka, Olatunji, Omar, Osei, Tadesse, Tekle, Tesfaye, Traoré, Warsame, Wolde""",
    ),
    _origin(
        5,
        """Aleksandra, Agnieszka, Elżbieta, Ewa, Ioana, Jana, Katarzyna, Lenka, Małgorzata, Mirela, Simona,
        Ștefania, Zsófia, Żaneta""",
        """Bogdan, Cătălin, Dragan, Florin, Grzegorz, István, Jakub, Jiří, Krzysztof, László, Łukasz, Marek,
        Mihai, Miroslav, Ondřej, Paweł, Piotr, Radu, Sławomir, Ștefan, Tomasz, Václav, Wojciech, Zbigniew,
        Zoltán""",
        """Bălan, Błaszczyk, Černý, Dąbrowski, Dvořák, Gonczarowski, Horváth, Ionescu, Jovanović, Kovač,
        Kowalczyk, Kučera, Lewandowski, Mazur, Nagy, Novák, Nowak, Pawłowski, Petrović, Popescu, Rădulescu,
        Sikorski, Szabó, Świątek, Szczęsny, Tóth, Wiśniewski, Wójcik, Zieliński, Ðorđević""",
        0.06,
    ),
    _origin(
        4,
        """Angelica, Aurora, Corazón, Divina, Imelda, Jasmine, Leilani, Lourdes, Maria Theresa, Noelani,
        Rosalinda, Sina""",
        """Benigno, Danilo, Edgardo, Ernesto, Jun, Kaleo, Keoni, Mark Anthony, Noel, Ramil, Rodel, Rommel,
        Sione, Tavita""",
        """Abad, Aquino, Bautista, Cabalquinto, Dela Cruz, Dimaculangan, Fa'asavalu, Ilagan, Kahananui,
        Kealoha, Mahoe, Macaraeg, Magsaysay, Manalo, Pangilinan, Panganiban, Salonga, Tuimavave, Tolentino,
        Villanueva""",
        0.08,
    ),
    _origin(
        4,
        """Aditi, Anjali, Deepa, Farah, Gurpreet, Harpreet, Jasleen, Layla, Maryam, Neha, Priya, Rania,
        Shabnam, Sunita""",
        """Amit, Arash, Arjun, Baljit, Behrouz, Gurdeep, Harjit, Imran, Jaspreet, Karim, Manjit, Omid,
        Rajesh, Ravi, Sanjay, Sukhdev, Tariq, Vikram""",
        """Ahmadi, Al-Khalidi, Bains, Chowdhury, Dhaliwal, Farhadi, Gill, Grewal, Haddad, Hosseini, Iyer,
        Khan, Khoury, Mehta, Nair, Patel, Qureshi, Rahimi, Rao, Reddy, Sandhu, Shah, Sharma, Sidhu, Singh,
        Venkataraghavan""",
    ),
    _origin(
        4,
        """Aisling, Amélie, Bríd, Camille, Céline, Chloé, Élise, Gianna, Hélène, Inês, Maeve, Maëlle, Niamh,
        Sinéad, Siobhán, Zoë""",
        """Ciarán, Dáithí, Dominic, Émile, Étienne, François, Gérard, Gianluca, João, Luc, Mathéo, Niall,
        Noël, Pádraig, René, Rocco, Seán, Théo, Tiago, Vito""",
        """Beauchêne, Bélanger, Carvalho, Côté, D'Angelo, Da Silva, Dell'Acqua, Ferreira, Fitzgerald, Gagné,
        Guimarães, Lefèvre, Mac Giolla Bhríde, MacKenzie, McLaughlin, Ní Dhomhnaill, Ó Súilleabháin,
        O'Shaughnessy, Pelletier, Ricci, Rousseau, Simões, St. Germain, Thériault, Van der Meer, Van den
        Berg, Vandenberghe, de Oliveira""",
        0.1,
    ),
)
"""Weights are plain shares of the membership; the names of one origin are drawn evenly."""
